#include "kernels/expert_ffn.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "kernels/elementwise.h"
#include "kernels/matmul.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/reference/experts.h"

namespace {

using cases::Data;
using kernels::Dtype;
using kernels::ExpertGroup;

struct Expert {
  cases::Weights gate, up, down;

  Expert(Dtype type, int64_t d, int64_t width, uint32_t seed, kernels::ThreadPool& pool)
      : gate(cases::weights(type, width, d, seed, pool)),
        up(cases::weights(type, width, d, seed + 500, pool)),
        down(cases::weights(type, d, width, seed + 900, pool)) {}

  ExpertGroup group(const float* x, float* y, int64_t rows) const {
    return {&gate.packed, &up.packed, &down.packed, x, y, rows};
  }
  // The three products and the activation, one op after the other.
  std::vector<float> one_by_one(const float* x, int64_t rows, kernels::ThreadPool& pool) const {
    const int64_t width = gate.packed.n_out(), d = gate.packed.n_in();
    std::vector<float> g(rows * width), u(rows * width), y(rows * d);
    kernels::matmul(x, d, rows, gate.packed, nullptr, g.data(), width, pool);
    kernels::matmul(x, d, rows, up.packed, nullptr, u.data(), width, pool);
    kernels::swiglu(g.data(), u.data(), rows, width, g.data(), pool);
    kernels::matmul(g.data(), width, rows, down.packed, nullptr, y.data(), d, pool);
    return y;
  }
};

// Rows of the groups: empty ones first, last and in a row; sizes around a block of rows.
constexpr int64_t kGroupRows[] = {0, 1, 2, 0, 0, 3, 7, 130, 120, 0, 241, 1, 0};

class ExpertFfn : public testing::TestWithParam<Dtype> {};

TEST_P(ExpertFfn, GivesEveryRowTheBitsOfItsExpertsOwnProducts) {
  kernels::ThreadPool one(1), three(3);
  const Dtype type = GetParam();
  const int64_t d = cases::whole_blocks(type, 96);
  std::vector<Expert> experts;
  for (const int64_t width : {96, 32, 100, 64, 130}) {
    experts.emplace_back(type, d, cases::whole_blocks(type, width), static_cast<uint32_t>(width),
                         one);
  }
  int64_t m = 0;
  for (int64_t rows : kGroupRows) m += rows;
  for (const Data data : {Data::plain, Data::outliers, Data::ties}) {
    const auto x = cases::activations(m * d, data, 7);
    cases::for_each_isa([&] {
      std::vector<float> y(static_cast<size_t>(m * d), 77.0f), expected;
      std::vector<ExpertGroup> groups;
      int64_t at = 0;
      for (size_t i = 0; i < std::size(kGroupRows); ++i) {
        const Expert& e = experts[i % experts.size()];
        groups.push_back(e.group(x.data() + at * d, y.data() + at * d, kGroupRows[i]));
        for (int64_t r = 0; r < kGroupRows[i]; ++r) {
          const auto row = e.one_by_one(x.data() + (at + r) * d, 1, one);
          expected.insert(expected.end(), row.begin(), row.end());
        }
        at += kGroupRows[i];
      }
      kernels::ExpertScratch scratch;
      kernels::expert_ffn(groups, scratch, three);
      EXPECT_TRUE(cases::same_bits(y, expected)) << "data " << static_cast<int>(data);
      // Again, with the scratch of the call before, and other companions.
      std::reverse(groups.begin(), groups.end());
      std::fill(y.begin(), y.end(), 77.0f);
      kernels::expert_ffn(groups, scratch, one);
      EXPECT_TRUE(cases::same_bits(y, expected)) << "data " << static_cast<int>(data);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, ExpertFfn, testing::ValuesIn(cases::kDtypes));

TEST(ExpertFfnReference, AgreesWithTheReference) {
  kernels::ThreadPool pool(2);
  const int64_t d = 64, width = 96, rows = 9;
  for (const Dtype type : {Dtype::f32, Dtype::q8_0}) {
    const Expert e(type, d, width, 5, pool);
    const auto x = cases::activations(rows * d, Data::plain, 1);
    cases::for_each_isa([&] {
      std::vector<float> y(x.size());
      const ExpertGroup group = e.group(x.data(), y.data(), rows);
      kernels::ExpertScratch scratch;
      kernels::expert_ffn({&group, 1}, scratch, pool);
      for (int64_t r = 0; r < rows; ++r) {
        const std::vector<double> row(x.begin() + r * d, x.begin() + (r + 1) * d);
        const auto want = reference::expert(row, e.gate.values, e.up.values, e.down.values);
        double largest = 0;
        for (double v : want) largest = std::max(largest, std::abs(v));
        for (int64_t i = 0; i < d; ++i) ASSERT_NEAR(y[r * d + i], want[i], 1e-5 * largest);
      }
    });
  }
}

TEST(ExpertFfnReference, CountsTheCostOfGroupsThatHaveRowsOnce) {
  kernels::ThreadPool pool(1);
  const Expert a(Dtype::q8_0, 32, 64, 1, pool), b(Dtype::f32, 32, 40, 2, pool);
  const auto x = cases::activations(5 * 32, Data::plain, 1);
  std::vector<float> y(x.size());
  const std::vector<ExpertGroup> groups = {a.group(x.data(), y.data(), 3),
                                           b.group(x.data(), y.data(), 0),
                                           b.group(x.data() + 96, y.data() + 96, 2)};
  const kernels::Cost want{3 * 2 * 3 * 64 * 32 + 2 * 2 * 3 * 40 * 32,
                           3 * 64 * 34 + 3 * 40 * 32 * 4};
  EXPECT_EQ(kernels::expert_ffn_cost(groups), want);
  pool.launched(kernels::OpKind::matmul) = {};
  kernels::ExpertScratch scratch;
  kernels::expert_ffn(groups, scratch, pool);
  EXPECT_EQ(pool.launched(kernels::OpKind::matmul), want);
  kernels::expert_ffn({}, scratch, pool);
  EXPECT_EQ(pool.launched(kernels::OpKind::matmul), want);
}

}  // namespace
