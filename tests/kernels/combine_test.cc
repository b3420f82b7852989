#include "kernels/combine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/kernels/cases.h"

namespace {

using cases::Data;
using kernels::kMaxTerms;

constexpr int64_t kWidths[] = {1, 7, 8, 9, 64, 257, 576};

// Terms of each row: none, one, up to all places.
struct Plan {
  std::vector<int32_t> source;
  std::vector<float> weights;
};
Plan plan(int64_t m, int64_t n_rows, uint32_t seed) {
  std::mt19937 random(seed);
  Plan p;
  for (int64_t r = 0; r < m; ++r) {
    for (int64_t j = 0; j < kMaxTerms; ++j) {
      const bool used = j < r % (kMaxTerms + 1);
      p.source.push_back(used ? static_cast<int32_t>(random() % n_rows) : -1);
      p.weights.push_back(used ? static_cast<float>(random() % 1000) / 500.0f - 1.0f : NAN);
    }
  }
  return p;
}

TEST(CombineRows, AddsInOrderOfTermsWithOneRoundingPerStep) {
  kernels::ThreadPool pool(3);
  for (const int64_t d : kWidths) {
    for (const Data data : cases::kData) {
      const int64_t m = 60, n = 40;
      const auto rows = cases::activations(n * d, data, 3);
      const Plan p = plan(m, n, 9);
      cases::for_each_isa([&] {
        std::vector<float> y(m * d, 77.0f), expected;
        kernels::combine_rows(rows.data(), d, p.source.data(), p.weights.data(), m, y.data(), pool);
        for (int64_t r = 0; r < m; ++r) {
          for (int64_t i = 0; i < d; ++i) {
            float sum = 0;
            for (int64_t j = 0; j < kMaxTerms && p.source[r * kMaxTerms + j] >= 0; ++j) {
              const float w = p.weights[r * kMaxTerms + j];
              const float v = rows[p.source[r * kMaxTerms + j] * d + i];
              if (j == 0) {
                sum = w * v;
              } else {
                sum = kernels::isa() == "portable" ? w * v + sum : std::fma(w, v, sum);
              }
            }
            expected.push_back(sum);
          }
        }
        EXPECT_TRUE(cases::same_bits(y, expected)) << d << " data " << static_cast<int>(data);
      });
    }
  }
}

TEST(CombineRows, KeepsTheBitsOfASingleRowOfWeightOne) {
  kernels::ThreadPool pool(1);
  const int64_t d = 21;
  auto x = cases::activations(3 * d, Data::denormal, 3);
  x[0] = -0.0f;
  x[d] = -INFINITY;
  std::vector<int32_t> source(3 * kMaxTerms, -1);
  for (int32_t r = 0; r < 3; ++r) source[r * kMaxTerms] = r;
  const std::vector<float> weights(source.size(), 1.0f);
  cases::for_each_isa([&] {
    std::vector<float> y(x.size());
    kernels::combine_rows(x.data(), d, source.data(), weights.data(), 3, y.data(), pool);
    EXPECT_TRUE(cases::same_bits(x, y));
  });
}

TEST(GatherRows, CopiesRowsInAnyOrder) {
  kernels::ThreadPool pool(3);
  for (const int64_t d : kWidths) {
    const auto x = cases::activations(50 * d, Data::plain, 1);
    std::vector<int32_t> source;
    for (int32_t i = 0; i < 200; ++i) source.push_back(i * 7 % 50);
    std::vector<float> y(200 * d), expected;
    kernels::gather_rows(x.data(), d, source.data(), 200, y.data(), pool);
    for (int32_t s : source)
      expected.insert(expected.end(), x.begin() + s * d, x.begin() + (s + 1) * d);
    EXPECT_TRUE(cases::same_bits(y, expected));
    kernels::gather_rows(x.data(), d, nullptr, 0, nullptr, pool);
  }
}

TEST(AddMissingMeans, AddsTheSumOfTheExpertsThatAreMissing) {
  kernels::ThreadPool pool(2);
  const int64_t d = 300;  // more than a block of it
  const int64_t n = 16;
  const auto means = cases::activations(n * d, Data::outliers, 5);
  const auto y0 = cases::activations(17 * d, Data::plain, 6);
  std::vector<int16_t> ids;
  std::mt19937 random(4);
  for (int64_t r = 0; r <= n; ++r) {  // r experts chosen
    std::vector<int16_t> all;
    for (int16_t e = 0; e < n; ++e) all.push_back(e);
    std::shuffle(all.begin(), all.end(), random);
    std::sort(all.begin(), all.begin() + r);
    for (int64_t j = 0; j < kMaxTerms; ++j) ids.push_back(j < r ? all[j] : int16_t{-1});
  }
  std::vector<float> y = y0, expected;
  kernels::add_missing_means(means.data(), d, n, ids.data(), n + 1, y.data(), pool);
  for (int64_t r = 0; r <= n; ++r) {
    for (int64_t i = 0; i < d; ++i) {
      float sum = 0;
      bool first = true;
      for (int64_t e = 0; e < n; ++e) {
        if (std::count(ids.begin() + r * kMaxTerms, ids.begin() + r * kMaxTerms + r, e)) continue;
        sum = first ? means[e * d + i] : sum + means[e * d + i];
        first = false;
      }
      expected.push_back(first ? y0[r * d + i] : y0[r * d + i] + sum);
    }
  }
  EXPECT_TRUE(cases::same_bits(y, expected));
  EXPECT_TRUE(std::equal(y.end() - d, y.end(), y0.end() - d));
}

}  // namespace
