#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/kernels/cases.h"
#include "tests/kernels/reference/reference.h"

namespace {

using cases::Data;

constexpr int64_t kRowWidths[] = {1, 3, 8, 15, 16, 17, 64, 576, 1000};
constexpr double kUnit = 0x1p-24;  // half a unit in the last place, relative

TEST(RmsNorm, AgreesWithTheReference) {
  kernels::ThreadPool pool(2);
  for (int64_t n : kRowWidths) {
    for (Data data : cases::kData) {
      const int64_t m = 40;
      const auto x = cases::activations(m * n, data, 1),
                 weight = cases::activations(n, Data::plain, 2);
      cases::for_each_isa([&] {
        std::vector<float> y(x.size());
        kernels::rms_norm(x.data(), m, n, weight.data(), 1e-5f, y.data(), pool);
        for (int64_t r = 0; r < m; ++r) {
          const std::vector<float> row(x.begin() + r * n, x.begin() + (r + 1) * n);
          const auto expected = reference::rms_norm(row, weight, static_cast<double>(1e-5f));
          for (int64_t i = 0; i < n; ++i) {
            const double e = expected[static_cast<size_t>(i)];
            ASSERT_NEAR(static_cast<double>(y[static_cast<size_t>(r * n + i)]), e,
                        4 * kUnit * std::abs(e) + 0x1p-148)
                << n << " row " << r << " element " << i;
          }
        }
      });
    }
  }
}

TEST(RmsNorm, GivesTheSameBitsInPlaceAndForARowAlone) {
  kernels::ThreadPool one(1), three(3);
  const int64_t m = 70, n = 577;
  const auto x = cases::activations(m * n, Data::outliers, 1);
  const auto weight = cases::activations(n, Data::plain, 2);
  cases::for_each_isa([&] {
    std::vector<float> y(x.size()), in_place = x, alone(x.size());
    kernels::rms_norm(x.data(), m, n, weight.data(), 1e-6f, y.data(), three);
    kernels::rms_norm(in_place.data(), m, n, weight.data(), 1e-6f, in_place.data(), one);
    for (int64_t r = 0; r < m; ++r) {
      kernels::rms_norm(x.data() + r * n, 1, n, weight.data(), 1e-6f, alone.data() + r * n, one);
    }
    EXPECT_TRUE(cases::same_bits(y, in_place));
    EXPECT_TRUE(cases::same_bits(y, alone));
  });
}

// cos and sin of position * base^(-2i/d_rot), as the engine makes them.
std::vector<float> angles(int64_t positions, int64_t d_rot) {
  std::vector<float> table;
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t i = 0; i < d_rot / 2; ++i) {
      const double angle =
          static_cast<double>(p) *
          std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(d_rot));
      table.push_back(static_cast<float>(std::cos(angle)));
      table.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  return table;
}

TEST(Rope, RotatesEachPairByItsAngleAndLeavesTheRestAlone) {
  kernels::ThreadPool pool(2);
  for (const auto& widths : {std::pair<int64_t, int64_t>{64, 64}, {20, 12}, {6, 2}}) {
    const int64_t d_head = widths.first, d_rot = widths.second;
    const int64_t heads = 3, m = 9, stride = heads * d_head + 5, max_position = 50;
    const auto table = angles(max_position, d_rot);
    std::vector<int32_t> positions;
    for (int32_t r = 0; r < m; ++r) positions.push_back(r * 5 % 47);
    const auto x = cases::activations(m * stride, Data::plain, 3);
    for (bool interleaved : {false, true}) {
      SCOPED_TRACE(testing::Message() << d_head << '/' << d_rot << ' ' << interleaved);
      std::vector<float> expected = x;
      for (int64_t r = 0; r < m; ++r) {
        for (int64_t h = 0; h < heads; ++h) {
          for (int64_t i = 0; i < d_rot / 2; ++i) {
            const auto at = static_cast<size_t>(r * stride + h * d_head);
            const auto first = at + static_cast<size_t>(interleaved ? 2 * i : i);
            const auto second = at + static_cast<size_t>(interleaved ? 2 * i + 1 : i + d_rot / 2);
            const auto entry =
                static_cast<size_t>(positions[static_cast<size_t>(r)] * d_rot + 2 * i);
            const float c = table[entry], s = table[entry + 1];
            expected[first] = x[first] * c - x[second] * s;
            expected[second] = x[first] * s + x[second] * c;
          }
        }
      }
      cases::for_each_isa([&] {
        std::vector<float> y = x;
        kernels::rope(y.data(), stride, m, heads, d_head, d_rot, positions.data(), table.data(),
                      interleaved, pool);
        EXPECT_TRUE(cases::same_bits(y, expected));
      });
    }
  }
}

TEST(Swiglu, AgreesWithTheReferenceOverTheWholeRangeOfGates) {
  kernels::ThreadPool pool(2);
  std::vector<float> gate;
  for (int i = -4000; i <= 4000; ++i) gate.push_back(static_cast<float>(i) / 37.0f);
  for (float v : {0.0f, -0.0f, 1e4f, -1e4f, 1e-38f, 1e-42f, 3e38f, -3e38f}) gate.push_back(v);
  const auto n = static_cast<int64_t>(gate.size());
  const auto up = cases::activations(n, Data::plain, 4);
  cases::for_each_isa([&] {
    std::vector<float> h(gate.size());
    kernels::swiglu(gate.data(), up.data(), 1, n, h.data(), pool);
    for (size_t i = 0; i < h.size(); ++i) {
      const double e = reference::silu(static_cast<double>(gate[i])) * static_cast<double>(up[i]);
      ASSERT_NEAR(static_cast<double>(h[i]), e, 10 * kUnit * std::abs(e) + 1e-36) << gate[i];
    }
  });
}

TEST(Swiglu, GivesTheSameBitsInPlaceForARowAloneAndOnThreads) {
  kernels::ThreadPool one(1), three(3);
  const int64_t m = 30, n = 1537;
  const auto gate = cases::activations(m * n, Data::outliers, 5);
  const auto up = cases::activations(m * n, Data::plain, 6);
  cases::for_each_isa([&] {
    std::vector<float> h(gate.size()), in_place = gate, alone(gate.size());
    kernels::swiglu(gate.data(), up.data(), m, n, h.data(), three);
    kernels::swiglu(in_place.data(), up.data(), m, n, in_place.data(), one);
    for (int64_t r = 0; r < m; ++r) {
      kernels::swiglu(gate.data() + r * n, up.data() + r * n, 1, n, alone.data() + r * n, one);
    }
    EXPECT_TRUE(cases::same_bits(h, in_place));
    EXPECT_TRUE(cases::same_bits(h, alone));
  });
}

TEST(Swiglu, KeepsNan) {
  kernels::ThreadPool pool(1);
  cases::for_each_isa([&] {
    std::vector<float> gate(33, 1.0f), up(33, 1.0f), h(33);
    gate[4] = up[32] = NAN;
    kernels::swiglu(gate.data(), up.data(), 1, 33, h.data(), pool);
    for (size_t i = 0; i < h.size(); ++i) EXPECT_EQ(std::isnan(h[i]), i == 4 || i == 32) << i;
  });
}

TEST(AddRows, AddsEveryElementOnce) {
  kernels::ThreadPool pool(3);
  for (int64_t n : {int64_t{1}, int64_t{15}, int64_t{100003}}) {
    const auto x = cases::activations(n, Data::outliers, 1),
               y = cases::activations(n, Data::plain, 2);
    cases::for_each_isa([&] {
      std::vector<float> sum = y;
      kernels::add_rows(x.data(), n, sum.data(), pool);
      for (size_t i = 0; i < sum.size(); ++i) ASSERT_EQ(sum[i], x[i] + y[i]) << i;
    });
  }
}

TEST(LogSumExp, AgreesWithTheReferenceToDoublePrecision) {
  for (int64_t n : {1, 2, 7, 8, 9, 1000, 49152}) {
    for (Data data : cases::kData) {
      const auto x = cases::activations(n, data, static_cast<uint32_t>(n));
      const double expected = reference::log_sum_exp(x);
      cases::for_each_isa([&] {
        EXPECT_NEAR(kernels::log_sum_exp(x.data(), n), expected, 1e-13 * (1 + std::abs(expected)))
            << n << " data " << static_cast<int>(data);
      });
    }
  }
}

TEST(KlDivergence, AgreesWithTheReferenceAndIsZeroOfItself) {
  for (int64_t n : {1, 2, 7, 8, 9, 1000, 49152}) {
    for (Data data : cases::kData) {
      auto p = cases::activations(n, data, static_cast<uint32_t>(n));
      const auto q = cases::activations(n, data, static_cast<uint32_t>(n) + 1);
      if (n > 4) p[3] = -std::numeric_limits<float>::infinity();  // a masked token weighs nothing
      const double p_norm = reference::log_sum_exp(p), q_norm = reference::log_sum_exp(q);
      const double expected = reference::kl_divergence(p, q);
      cases::for_each_isa([&] {
        EXPECT_NEAR(kernels::kl_divergence(p.data(), p_norm, q.data(), q_norm, n), expected,
                    1e-12 * (1 + std::abs(p_norm) + std::abs(q_norm)))
            << n << " data " << static_cast<int>(data);
        EXPECT_EQ(kernels::kl_divergence(q.data(), q_norm, q.data(), q_norm, n), 0);
      });
    }
  }
}

TEST(LogSumExp, SaysSoWhenThereIsNoFiniteAnswer) {
  const float inf = std::numeric_limits<float>::infinity();
  cases::for_each_isa([&] {
    std::vector<float> x(20, 0.0f);
    x[13] = NAN;
    EXPECT_TRUE(std::isnan(kernels::log_sum_exp(x.data(), 20)));
    x.assign(20, NAN);
    EXPECT_TRUE(std::isnan(kernels::log_sum_exp(x.data(), 20)));
    x.assign(20, -inf);
    EXPECT_EQ(kernels::log_sum_exp(x.data(), 20), -HUGE_VAL);
    x[3] = 2.5f;  // masked tokens beside one that is left
    EXPECT_DOUBLE_EQ(kernels::log_sum_exp(x.data(), 20), 2.5);
    x[4] = inf;
    EXPECT_EQ(kernels::log_sum_exp(x.data(), 20), HUGE_VAL);
  });
}

TEST(Argmax, TakesTheSmallestIndexAmongTiesWhereverItLies) {
  cases::for_each_isa([&] {
    for (int64_t n : kRowWidths) {
      for (int64_t at = 0; at < n; at += 1 + n / 9) {
        std::vector<float> x(static_cast<size_t>(n), -3.0f);
        x[static_cast<size_t>(at)] = 1.5f;
        x.back() = 1.5f;
        EXPECT_EQ(kernels::argmax(x.data(), n), at) << n;
      }
    }
  });
}

TEST(Argmax, NeverPicksNan) {
  const float inf = std::numeric_limits<float>::infinity();
  cases::for_each_isa([&] {
    std::vector<float> x(40, NAN);
    EXPECT_EQ(kernels::argmax(x.data(), 40), -1);
    EXPECT_EQ(kernels::argmax(x.data(), 0), -1);
    x[37] = -inf;
    EXPECT_EQ(kernels::argmax(x.data(), 40), 37);
    x[20] = -1e30f;
    EXPECT_EQ(kernels::argmax(x.data(), 40), 20);
    x[0] = inf;
    EXPECT_EQ(kernels::argmax(x.data(), 40), 0);
    const std::vector<float> zeros = {-1.0f, -0.0f, 0.0f};
    EXPECT_EQ(kernels::argmax(zeros.data(), 3), 1) << "the zeros are equal";
  });
}

}  // namespace
