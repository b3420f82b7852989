#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/kernels/cases.h"
#include "tests/kernels/reference/reference.h"

namespace {

using cases::Data;
using kernels::Dtype;

std::vector<float> product(const std::vector<float>& x, int64_t m, const kernels::PackedMatrix& w,
                           const float* bias, kernels::ThreadPool& pool) {
  std::vector<float> y(static_cast<size_t>(m * w.n_out()), 77.0f);
  kernels::matmul(x.data(), w.n_in(), m, w, bias, y.data(), w.n_out(), pool);
  return y;
}

// y is the first rows of `expected`. The bound of a sum of n products rounded one by one:
// (n + 1) * 2^-24 * sum |x w|, and one more smallest denormal per step.
void expect_near_reference(const std::vector<float>& y, const reference::Product& expected,
                           int64_t n_in) {
  ASSERT_LE(y.size(), expected.y.size());
  const double n = static_cast<double>(n_in);
  for (size_t i = 0; i < y.size(); ++i) {
    const double bound = (n + 2) * 0x1p-24 * expected.magnitude[i] + n * 0x1p-149;
    ASSERT_NEAR(static_cast<double>(y[i]), expected.y[i], bound) << "output " << i;
  }
}

TEST(Matmul, AgreesWithTheReferenceForEveryTypeShapeAndInstructionSet) {
  kernels::ThreadPool pool(2);
  for (Dtype type : cases::kDtypes) {
    for (const cases::MatmulShape& shape : cases::kMatmulShapes) {
      const int64_t n_in = cases::whole_blocks(type, shape.n_in), n_out = shape.n_out;
      const cases::Weights w = cases::weights(type, n_out, n_in, 3, pool);
      const auto x = cases::activations(13 * n_in, Data::plain, 12);
      const auto bias = cases::activations(n_out, Data::plain, 5);
      const auto expected = reference::matmul(x, w.values, bias, 13, n_out, n_in);
      for (int64_t m : {1, 2, 3, 4, 5, 7, 13}) {
        SCOPED_TRACE(testing::Message()
                     << kernels::dtype_name(type) << ' ' << n_out << 'x' << n_in << " m=" << m);
        cases::for_each_isa([&] {
          expect_near_reference(product(x, m, w.packed, bias.data(), pool), expected, n_in);
        });
      }
    }
  }
}

TEST(Matmul, AgreesWithTheReferenceOnOutliersTiesAndDenormals) {
  kernels::ThreadPool pool(2);
  for (Dtype type : cases::kDtypes) {
    const int64_t n_in = 512, n_out = 70;
    const cases::Weights w = cases::weights(type, n_out, n_in, 9, pool);
    for (Data data : cases::kData) {
      SCOPED_TRACE(testing::Message()
                   << kernels::dtype_name(type) << " data " << static_cast<int>(data));
      const auto x = cases::activations(6 * n_in, data, 21);
      const auto expected = reference::matmul(x, w.values, {}, 6, n_out, n_in);
      for (int64_t m : {2, 6}) {
        cases::for_each_isa(
            [&] { expect_near_reference(product(x, m, w.packed, nullptr, pool), expected, n_in); });
      }
    }
  }
}

TEST(Matmul, GivesARowTheSameBitsAloneAndInABatchOnAnyNumberOfThreads) {
  kernels::ThreadPool one(1), three(3);
  for (Dtype type : cases::kDtypes) {
    const int64_t n_in = cases::whole_blocks(type, 300), n_out = 131;
    const cases::Weights w = cases::weights(type, n_out, n_in, 4, one);
    const auto x = cases::activations(130 * n_in, Data::outliers, 8);
    const auto bias = cases::activations(n_out, Data::plain, 6);
    cases::for_each_isa([&] {
      std::vector<float> alone;
      for (int64_t r = 0; r < 130; ++r) {
        const std::vector<float> row(x.begin() + r * n_in, x.begin() + (r + 1) * n_in);
        const auto y = product(row, 1, w.packed, bias.data(), one);
        alone.insert(alone.end(), y.begin(), y.end());
      }
      for (int64_t m : cases::kRows) {
        SCOPED_TRACE(testing::Message() << kernels::dtype_name(type) << " m=" << m);
        const auto y = product(x, m, w.packed, bias.data(), three);
        EXPECT_TRUE(std::equal(y.begin(), y.end(), alone.begin(), [](float a, float b) {
          return std::memcmp(&a, &b, sizeof a) == 0;
        }));
      }
    });
  }
}

TEST(Matmul, GivesAQuantisedMatrixTheBitsOfItsDequantisedForm) {
  kernels::ThreadPool pool(2);
  for (Dtype type : cases::kDtypes) {
    const int64_t n_in = 512, n_out = 100;
    const cases::Weights w = cases::weights(type, n_out, n_in, 14, pool);
    const auto dense = kernels::PackedMatrix::pack(
        Dtype::f32, n_out, n_in,
        [&](int64_t r, void* dst) {
          std::memcpy(dst, w.values.data() + r * n_in, static_cast<size_t>(n_in) * sizeof(float));
        },
        pool);
    for (int64_t m : {1, 4, 9}) {
      SCOPED_TRACE(testing::Message() << kernels::dtype_name(type) << " m=" << m);
      const auto x = cases::activations(m * n_in, Data::plain, 2);
      cases::for_each_isa([&] {
        EXPECT_TRUE(cases::same_bits(product(x, m, w.packed, nullptr, pool),
                                     product(x, m, dense, nullptr, pool)));
      });
    }
  }
}

// The contract's order of reduction, spelled out; a portable build rounds the product first.
TEST(Matmul, AddsInOrderOfKWithOneRoundingPerStep) {
  kernels::ThreadPool pool(1);
  const int64_t n_in = 300, n_out = 5;
  const cases::Weights w = cases::weights(Dtype::f32, n_out, n_in, 17, pool);
  const auto x = cases::activations(n_in, Data::outliers, 18);
  cases::for_each_isa([&] {
    const auto y = product(x, 1, w.packed, nullptr, pool);
    for (size_t n = 0; n < y.size(); ++n) {
      float acc = 0;
      for (size_t k = 0; k < x.size(); ++k) {
        const float weight = w.values[n * x.size() + k];
        acc = kernels::isa() == "portable" ? x[k] * weight + acc : std::fma(x[k], weight, acc);
      }
      EXPECT_EQ(y[n], acc) << n;
    }
  });
}

TEST(Matmul, ReadsAndWritesWithStridesAndTouchesNothingElse) {
  kernels::ThreadPool pool(2);
  const int64_t n_in = 64, n_out = 70, m = 9, x_stride = 80, y_stride = 75;
  const cases::Weights w = cases::weights(Dtype::q4_0, n_out, n_in, 2, pool);
  const auto x = cases::activations(m * x_stride, Data::plain, 1);
  std::vector<float> packed_x, y(static_cast<size_t>(m * y_stride), 123.0f);
  for (int64_t r = 0; r < m; ++r) {
    packed_x.insert(packed_x.end(), x.begin() + r * x_stride, x.begin() + r * x_stride + n_in);
  }
  const auto expected = product(packed_x, m, w.packed, nullptr, pool);
  kernels::matmul(x.data(), x_stride, m, w.packed, nullptr, y.data(), y_stride, pool);
  for (int64_t r = 0; r < m; ++r) {
    for (int64_t n = 0; n < y_stride; ++n) {
      EXPECT_EQ(y[static_cast<size_t>(r * y_stride + n)],
                n < n_out ? expected[static_cast<size_t>(r * n_out + n)] : 123.0f);
    }
  }
}

TEST(Matmul, KeepsANanInTheRowItCameFrom) {
  kernels::ThreadPool pool(1);
  const cases::Weights w = cases::weights(Dtype::q8_0, 10, 64, 2, pool);
  auto x = cases::activations(6 * 64, Data::plain, 1);
  x[2 * 64 + 5] = NAN;
  cases::for_each_isa([&] {
    const auto y = product(x, 6, w.packed, nullptr, pool);
    for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i / 10 == 2) << i;
  });
}

TEST(MatmulColumns, GivesTheBitsOfTheMatchingColumnsOfMatmul) {
  kernels::ThreadPool pool(3);
  for (Dtype type : cases::kDtypes) {
    const int64_t n_in = 512, n_out = 300;
    const cases::Weights w = cases::weights(type, n_out, n_in, 31, pool);
    std::vector<int32_t> ids = {0, 299, 64, 63, 64, 17};
    for (int32_t id = 100; id < 140; ++id) ids.push_back(id);
    const auto n_ids = static_cast<int64_t>(ids.size());
    for (int64_t m : {1, 7}) {
      SCOPED_TRACE(testing::Message() << kernels::dtype_name(type) << " m=" << m);
      const auto x = cases::activations(m * n_in, Data::plain, 3);
      cases::for_each_isa([&] {
        const auto all = product(x, m, w.packed, nullptr, pool);
        for (int64_t count : {int64_t{1}, int64_t{4}, int64_t{17}, n_ids}) {
          std::vector<float> some(static_cast<size_t>(m * count)), expected;
          kernels::matmul_columns(x.data(), n_in, m, w.packed, ids.data(), count, some.data(),
                                  count, pool);
          for (int64_t r = 0; r < m; ++r) {
            for (int64_t j = 0; j < count; ++j) {
              expected.push_back(all[static_cast<size_t>(r * n_out + ids[static_cast<size_t>(j)])]);
            }
          }
          EXPECT_TRUE(cases::same_bits(some, expected)) << count;
        }
      });
    }
  }
}

TEST(MatmulCost, CountsTwoFlopsPerMultiplyAddAndEachStoredByteOnce) {
  EXPECT_EQ(kernels::matmul_cost(3, 10, 64, Dtype::q4_0),
            (kernels::Cost{2 * 3 * 10 * 64, 10 * 2 * 18}));
  EXPECT_EQ(kernels::matmul_cost(1, 7, 5, Dtype::f32), (kernels::Cost{70, 140}));
  // Past 32 bits: a vocabulary head over a long prompt.
  EXPECT_EQ(kernels::matmul_cost(4096, 128256, 8192, Dtype::f16).flops, 8607114461184u);
}

TEST(MatmulCost, IsWhatTheLaunchCounterGrowsBy) {
  kernels::ThreadPool pool(2);
  const cases::Weights w = cases::weights(Dtype::q8_0, 70, 64, 2, pool);
  const auto x = cases::activations(3 * 64, Data::plain, 1);
  product(x, 3, w.packed, nullptr, pool);
  kernels::Cost expected = kernels::matmul_cost(3, 70, 64, Dtype::q8_0);
  EXPECT_EQ(pool.launched(kernels::OpKind::matmul), expected);
  const int32_t ids[] = {4, 8};
  float y[2];
  kernels::matmul_columns(x.data(), 64, 1, w.packed, ids, 2, y, 2, pool);
  expected += kernels::matmul_cost(1, 2, 64, Dtype::q8_0);
  EXPECT_EQ(pool.launched(kernels::OpKind::matmul), expected);
  EXPECT_EQ(pool.launched(kernels::OpKind::attention), kernels::Cost{});
}

}  // namespace
