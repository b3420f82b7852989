#include "kernels/select_experts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/kernels/cases.h"
#include "tests/kernels/reference/experts.h"

namespace {

using cases::Data;
using kernels::GateRule;
using kernels::kMaxChosen;
using kernels::RowSelection;
using kernels::SelectRule;
using testing::ElementsAre;

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Selected {
  std::vector<int16_t> ids;
  std::vector<float> weights, margins;
  int64_t broken = 0;

  std::vector<int> ids_of(int64_t r) const {
    std::vector<int> v;
    for (int64_t j = 0; j < kMaxChosen && ids[r * kMaxChosen + j] >= 0; ++j) {
      v.push_back(ids[r * kMaxChosen + j]);
    }
    return v;
  }
  std::vector<float> weights_of(int64_t r) const {
    const auto first = weights.begin() + r * kMaxChosen;
    return {first, first + static_cast<int64_t>(ids_of(r).size())};
  }
};

Selected select(const std::vector<float>& scores, int64_t n, const std::vector<RowSelection>& rows,
                GateRule rule, int32_t trained_k, int threads = 2) {
  kernels::ThreadPool pool(threads);
  const auto m = static_cast<int64_t>(rows.size());
  Selected s;
  s.ids.assign(m * kMaxChosen, 99);
  s.weights.assign(m * kMaxChosen, 99);
  s.margins.assign(m, 99);
  s.broken = kernels::select_experts(scores.data(), m, n, rows.data(), rule, trained_k,
                                     s.ids.data(), s.weights.data(), s.margins.data(), pool);
  return s;
}

// Every k that n allows, every rule, values on both sides of what decides.
std::vector<RowSelection> mixed_rows(int64_t m, int64_t n) {
  std::vector<RowSelection> rows;
  for (int64_t r = 0; r < m; ++r) {
    RowSelection row;
    row.k = static_cast<int32_t>(r % (std::min(n, kMaxChosen) + 1));
    row.rule = static_cast<SelectRule>(r / 3 % 4);
    row.value = static_cast<float>(r % 11) * 0.11f;
    if (row.rule == SelectRule::threshold) row.value /= static_cast<float>(n) / 2;
    if (row.rule == SelectRule::entropy) row.slope = static_cast<float>(r % 13) - 2;
    rows.push_back(row);
  }
  return rows;
}

constexpr GateRule kGateRules[] = {GateRule::softmax, GateRule::divided,
                                   GateRule::divided_by_trained, GateRule::scaled_to_trained,
                                   GateRule::unit};

TEST(SelectExperts, AgreesWithTheReferenceForEveryRuleAndMixOfRows) {
  for (const int64_t n : {1, 2, 7, 14, 16, 60, 64, 128, 300}) {
    for (const Data data : {Data::plain, Data::outliers, Data::ties}) {
      const int64_t m = 17 * 12 * 2;
      const auto scores = cases::activations(m * n, data, static_cast<uint32_t>(n));
      const auto rows = mixed_rows(m, n);
      const int trained_k = static_cast<int>(std::min<int64_t>(n, 8));
      for (const GateRule rule : kGateRules) {
        const Selected got = select(scores, n, rows, rule, trained_k);
        EXPECT_EQ(got.broken, 0);
        int64_t compared = 0;
        for (int64_t r = 0; r < m; ++r) {
          SCOPED_TRACE(testing::Message() << "n " << n << " data " << static_cast<int>(data)
                                          << " gate " << static_cast<int>(rule) << " row " << r);
          const std::vector<double> row(scores.begin() + r * n, scores.begin() + (r + 1) * n);
          const auto want = reference::select_experts(row, rows[r], rule, trained_k);
          if (want.slack < 1e-12) continue;
          ++compared;
          ASSERT_EQ(got.ids_of(r), want.ids);
          const auto weights = got.weights_of(r);
          for (size_t j = 0; j < weights.size(); ++j) {
            ASSERT_NEAR(weights[j], want.weights[j], 0x1p-23 * std::abs(want.weights[j]) + 1e-44);
          }
          // The same experts, chosen otherwise, weigh the same.
          std::vector<float> weighed(weights.size());
          kernels::weigh_experts(scores.data() + r * n, n, got.ids.data() + r * kMaxChosen,
                                 static_cast<int32_t>(weights.size()), rule, trained_k,
                                 weighed.data());
          for (size_t j = 0; j < weights.size(); ++j)
            ASSERT_NEAR(weighed[j], weights[j], 0x1p-22 * std::abs(weights[j]) + 1e-44);
          for (int64_t j = got.ids_of(r).size(); j < kMaxChosen; ++j) {
            ASSERT_EQ(got.ids[r * kMaxChosen + j], -1);
            ASSERT_EQ(got.weights[r * kMaxChosen + j], 0);
          }
          ASSERT_EQ(std::isnan(got.margins[r]), std::isnan(want.margin));
          if (!std::isnan(want.margin)) {
            ASSERT_NEAR(got.margins[r], want.margin, 1e-6 * std::abs(want.margin) + 1e-15);
          }
        }
        EXPECT_GT(compared, m / 2);
      }
    }
  }
}

TEST(SelectExperts, GivesTiesToTheLowerIdAndListsIdsAscending) {
  const std::vector<float> scores = {1, 3, 2, 3, 3, 2};
  const auto ids = [&](int32_t k) { return select(scores, 6, {{k}}, GateRule::unit, 1).ids_of(0); };
  EXPECT_THAT(ids(1), ElementsAre(1));
  EXPECT_THAT(ids(2), ElementsAre(1, 3));
  EXPECT_THAT(ids(4), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ids(6), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(select(scores, 6, {{2}}, GateRule::unit, 1).margins[0], 0);
  EXPECT_EQ(select(scores, 6, {{3}}, GateRule::unit, 1).margins[0], 1);
}

// Probabilities 1/2, 1/4, 1/8, 1/8 exactly enough: sums of powers of two.
TEST(SelectExperts, StopsWhereTheSelectorSays) {
  const auto log2 = static_cast<float>(std::log(2.0));
  const std::vector<float> scores = {-2 * log2, 0, -2 * log2, -log2};
  const auto count = [&](SelectRule rule, float value, float slope, int32_t k) {
    return select(scores, 4, {{k, rule, value, slope}}, GateRule::softmax, 1).ids_of(0).size();
  };
  EXPECT_EQ(count(SelectRule::top_p, 0, 0, 4), 1u);
  EXPECT_EQ(count(SelectRule::top_p, 0.49f, 0, 4), 1u);
  EXPECT_EQ(count(SelectRule::top_p, 0.51f, 0, 4), 2u);
  EXPECT_EQ(count(SelectRule::top_p, 0.76f, 0, 4), 3u);
  EXPECT_EQ(count(SelectRule::top_p, 0.9f, 0, 4), 4u);
  EXPECT_EQ(count(SelectRule::top_p, 2, 0, 4), 4u);
  EXPECT_EQ(count(SelectRule::top_p, 2, 0, 3), 3u);
  EXPECT_EQ(count(SelectRule::threshold, 0.6f, 0, 4), 1u);  // none reaches it: the best one runs
  EXPECT_EQ(count(SelectRule::threshold, 0.4f, 0, 4), 1u);
  EXPECT_EQ(count(SelectRule::threshold, 0.2f, 0, 4), 2u);
  EXPECT_EQ(count(SelectRule::threshold, 0.1f, 0, 4), 4u);
  EXPECT_EQ(count(SelectRule::threshold, 0.1f, 0, 3), 3u);
  // H / log 4 = 1.75 / 2
  EXPECT_EQ(count(SelectRule::entropy, 0, 4.1f, 4), 4u);
  EXPECT_EQ(count(SelectRule::entropy, 0, 2.8f, 4), 2u);
  EXPECT_EQ(count(SelectRule::entropy, 1, 2, 4), 3u);
  EXPECT_EQ(count(SelectRule::entropy, -9, 1, 4), 1u);
  EXPECT_EQ(count(SelectRule::entropy, 1e30f, 1, 2), 2u);
}

// A prefix that only reaches the value does not exceed it: the crossing expert runs too.
TEST(SelectExperts, TakesThePrefixThatExceedsTheValue) {
  const auto ids = [](float value) {
    return select({1, 1, -400, -400}, 4, {{4, SelectRule::top_p, value, 0}}, GateRule::softmax, 1)
        .ids_of(0);
  };
  EXPECT_THAT(ids(0.499f), ElementsAre(0));
  EXPECT_THAT(ids(0.5f), ElementsAre(0, 1));
  EXPECT_THAT(ids(1), ElementsAre(0, 1, 2, 3));
}

TEST(SelectExperts, GivesASingleExpertAWeightOfExactlyOneWhenDivided) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    const auto scores = cases::activations(9, Data::plain, seed);
    EXPECT_EQ(select(scores, 9, {{1}}, GateRule::divided, 1).weights[0], 1);
    EXPECT_EQ(select(scores, 9, {{1}}, GateRule::divided_by_trained, 1).weights[0], 1);
  }
}

TEST(SelectExperts, FindsScoresThatAreNotFiniteAndLeavesOtherRowsAlone) {
  const int64_t n = 5;
  const auto good = cases::activations(n, Data::plain, 4);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInf, -kInf}) {
    for (int64_t at = 0; at < n; ++at) {
      for (const GateRule rule : kGateRules) {
        std::vector<float> scores = good;
        scores.insert(scores.end(), good.begin(), good.end());
        scores.insert(scores.end(), good.begin(), good.end());
        scores[n + at] = bad;
        const std::vector<RowSelection> rows(3, {2, SelectRule::top_p, 0.9f, 0});
        const Selected s = select(scores, n, rows, rule, 2);
        const Selected alone = select(good, n, {rows[0]}, rule, 2);
        EXPECT_EQ(s.broken, 1);
        EXPECT_THAT(s.ids_of(1), ElementsAre(0, 1));
        EXPECT_TRUE(std::isnan(s.weights_of(1)[0]) && std::isnan(s.weights_of(1)[1]));
        EXPECT_TRUE(std::isnan(s.margins[1]));
        for (const int64_t r : {0, 2}) {
          EXPECT_EQ(s.ids_of(r), alone.ids_of(0));
          EXPECT_EQ(s.weights_of(r), alone.weights_of(0));
          EXPECT_EQ(s.margins[r], alone.margins[0]);
        }
      }
    }
  }
  const Selected unread = select({kInf, kInf}, 2, {{0}}, GateRule::softmax, 1);
  EXPECT_EQ(unread.broken, 0);
  EXPECT_TRUE(unread.ids_of(0).empty());
}

// A spread that overflows exp in single precision.
TEST(SelectExperts, SurvivesScoresFarApart) {
  const Selected s = select({-3e38f, 3e38f, 0}, 3, {{2}}, GateRule::divided, 1);
  EXPECT_THAT(s.ids_of(0), ElementsAre(1, 2));
  EXPECT_THAT(s.weights_of(0), ElementsAre(1, 0));
  EXPECT_EQ(s.margins[0], 0);
}

TEST(SelectExperts, GivesTheSameBitsOnAnyNumberOfThreads) {
  const int64_t n = 64, m = 500;
  const auto scores = cases::activations(m * n, Data::plain, 3);
  const auto rows = mixed_rows(m, n);
  const Selected one = select(scores, n, rows, GateRule::scaled_to_trained, 8, 1);
  const Selected three = select(scores, n, rows, GateRule::scaled_to_trained, 8, 3);
  EXPECT_EQ(one.ids, three.ids);
  EXPECT_TRUE(cases::same_bits(one.weights, three.weights));
  EXPECT_TRUE(cases::same_bits(one.margins, three.margins));
}

}  // namespace
