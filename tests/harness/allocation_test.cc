// What a policy granted beside what was needed, on questions whose outcome at every k is planted.
#include "harness/allocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "harness/drift.h"
#include "harness/prediction.h"

namespace harness {
namespace {

using testing::ElementsAre;

const std::vector<int32_t> kGrid{1, 2, 4, 8};

// FLOPs are 10 a query and 10 an expert.
double flops_at(double k) { return 10 + 10 * k; }

class AllocationTest : public testing::Test {
 protected:
  // right[i]: share of the ways at kGrid[i] that were right.
  SweepQuestion& question(const std::vector<double>& right, int ways = 1,
                          const std::string& shift = "clean") {
    SweepQuestion& q = questions_.emplace_back();
    q.task = "planted";
    q.sample = q.cluster = "s" + std::to_string(questions_.size());
    q.shift = shift;
    for (size_t i = 0; i < kGrid.size(); ++i) {
      q.correct[kGrid[i]] = q.as_is[kGrid[i]] = right[i];
      q.graded[kGrid[i]] = ways;
      q.flops[kGrid[i]] = flops_at(kGrid[i]);
    }
    return q;
  }
  // Granted k; right as the sweep says, or as given.
  AuditedQuery& grant(const SweepQuestion& need, double k, std::optional<bool> right = {}) {
    AuditedQuery& q = queries_.emplace_back();
    q.task = need.task;
    q.sample = need.sample;
    q.form = need.shift;
    q.need = &need;
    q.k = k;
    q.uniform = true;
    q.flops = flops_at(k);
    q.right = right ? *right : need.reliable(static_cast<int32_t>(k));
    return q;
  }
  std::vector<const AuditedQuery*> all() const {
    std::vector<const AuditedQuery*> out;
    for (const auto& q : queries_) out.push_back(&q);
    return out;
  }

  std::deque<SweepQuestion> questions_;
  std::deque<AuditedQuery> queries_;
};

TEST_F(AllocationTest, TheClassesAreThoseOfTheView) {
  const auto check = [&](const std::vector<double>& right, double k, bool is_right, Allocation want,
                         std::optional<double> uncapped = {}) {
    AuditedQuery& q = grant(question(right), k, is_right);
    q.capped = uncapped.has_value();
    q.k_uncapped = uncapped;
    EXPECT_EQ(classify(q, kGrid), want) << allocation_name(want);
  };
  check({0, 0, 1, 1}, 4, true, Allocation::exact);
  check({0, 0, 1, 1}, 3, true, Allocation::exact);
  check({1, 1, 1, 1}, 1, true, Allocation::exact);
  check({0, 1, 1, 1}, 8, true, Allocation::over);
  check({0, 0, 0, 1}, 2, false, Allocation::under);
  check({0, 0, 0, 1}, 6, false, Allocation::boundary);
  check({1, 0, 0, 1}, 1, true, Allocation::lucky);
  check({0, 0, 1, 0}, 4, true, Allocation::lucky);
  check({0, 1, 1, 1}, 4, false, Allocation::unstable);
  check({0, 0, 0, 0}, 8, false, Allocation::hopeless);
  check({0, 0, 0, 1}, 2, false, Allocation::capped, 8);
  check({0, 0, 0, 1}, 2, false, Allocation::under, 4);
}

TEST_F(AllocationTest, ALongQuestionCountsOnceInTheMeanOfShares) {
  grant(question({0, 0, 0, 1}), 8);  // 90 of 90
  SweepQuestion& twice = question({1, 1, 1, 1});
  for (auto& [k, flops] : twice.flops) flops *= 2;
  grant(twice, 2).flops = 60;  // of 180
  const auto r = allocation_report(all(), kGrid, 0.1);
  EXPECT_DOUBLE_EQ(*r.cost.value, 150 / 270.0);
  EXPECT_DOUBLE_EQ(*r.cost_per_query.value, (1 + 60 / 180.0) / 2);
}

TEST_F(AllocationTest, FiguresAreThoseWorkedOutByHand) {
  grant(question({0, 1, 1, 1}), 8);  // over by 6 experts
  grant(question({0, 0, 0, 1}), 2);  // under
  grant(question({0, 0, 0, 0}), 4);  // futile
  grant(question({1, 1, 0, 0}), 4);  // inverse: fewer were right
  const auto r = allocation_report(all(), kGrid, 0.1);
  EXPECT_EQ(r.n, 4);
  EXPECT_EQ(r.count(Need::elastic), 2);
  EXPECT_EQ(r.count(Need::never), 1);
  EXPECT_EQ(r.count(Need::inverse), 1);
  EXPECT_EQ(r.accuracy.value, 0.25);
  EXPECT_EQ(r.mean_k.value, 4.5);
  EXPECT_DOUBLE_EQ(*r.cost.value, (90 + 30 + 50 + 50) / 360.0);
  EXPECT_EQ(r.under.value, 0.5);
  EXPECT_EQ(r.over.value, 0.5);
  EXPECT_EQ(r.under_by_cap.value, 0);
  EXPECT_DOUBLE_EQ(*r.waste.value, (60 / 90.0) / 4);
  EXPECT_DOUBLE_EQ(*r.futile.value, 30.0 / (70 + 10 + 30 + 30));
  EXPECT_EQ(r.inverse_harm.value, 0.25);
  EXPECT_EQ(r.accuracy_regret.value, 0.5);  // the second and the fourth
  EXPECT_EQ(r.full_regret.value, 0.25);     // the second
  // Rewards 1 - 0.1 F / 90: best at k = 2, 8, 1 (nothing is right: cheapest), 1.
  const double regret = (0.1 * 60 / 90) + (1 - 0.1 * 60 / 90) + 0.1 * 30 / 90 + (1 + 0.1 * 30 / 90);
  EXPECT_DOUBLE_EQ(*r.lambda_regret.value, regret / 4);
  EXPECT_DOUBLE_EQ(*r.violations.value, 1 / 12.0);  // one of 4 x 3 neighbours
  EXPECT_FALSE(r.violations_of_noise);              // asked in one way only
  ASSERT_EQ(r.statics.size(), 4u);
  EXPECT_EQ(r.statics[3].accuracy, 0.5);
  EXPECT_EQ(r.statics[3].cost, 1);
}

// Half of the questions need 1 expert, half need 8.
TEST_F(AllocationTest, AnOracleGainsAllAndAConstantNothing) {
  std::vector<const SweepQuestion*> items;
  for (int i = 0; i < 60; ++i)
    items.push_back(
        &question(i % 2 == 0 ? std::vector<double>{1, 1, 1, 1} : std::vector<double>{0, 0, 0, 1}));
  for (const auto* q : items) grant(*q, *q->k_stable(kGrid));
  const auto oracle = allocation_report(all(), kGrid, 0.1);
  EXPECT_EQ(oracle.accuracy.value, 1);
  EXPECT_EQ(oracle.lambda_regret.value, 0);
  EXPECT_EQ(oracle.under.value, 0);
  EXPECT_EQ(oracle.over.value, 0);
  EXPECT_EQ(oracle.waste.value, 0);
  // Mean FLOPs (20 + 90) / 2 = 55; the mixture of k = 1 and 8 at that is right on 3 of 4.
  EXPECT_NEAR(*oracle.gain.value, 0.25, 1e-12);
  EXPECT_NEAR(*oracle.gap_closed.value, 1, 1e-12);
  EXPECT_GT(oracle.gain.interval->lower, 0.1);
  EXPECT_EQ(prediction_report(all(), kGrid).spearman.value, 1);
  EXPECT_EQ(prediction_report(all(), kGrid).by_k[0].auroc.value, 1);

  queries_.clear();
  for (const auto* q : items) grant(*q, 4);
  const auto constant = allocation_report(all(), kGrid, 0.1);
  EXPECT_LE(*constant.gain.value, 0);  // k = 4 is no better than k = 1 here
  EXPECT_FALSE(prediction_report(all(), kGrid).spearman.value);

  queries_.clear();
  for (size_t i = 0; i < items.size(); ++i) grant(*items[i], i % 4 < 2 ? 1 : 8);
  const auto shuffled = allocation_report(all(), kGrid, 0.1);
  EXPECT_NEAR(*shuffled.gain.value, 0, 1e-12);  // the mixture itself
  const auto blind = prediction_report(all(), kGrid).spearman;
  EXPECT_LT(blind.interval->lower, 0);
  EXPECT_GT(blind.interval->upper, 0);
}

TEST_F(AllocationTest, NoiseAloneMakesViolations) {
  // Four ways, half of them right whatever the k: P(at least 3 of 4) = 5/16.
  for (int i = 0; i < 3; ++i) grant(question({0.5, 0.5, 0.5, 0.5}, 4), 1);
  const auto r = allocation_report(all(), kGrid, 0.1);
  EXPECT_NEAR(r.violations_of_noise.value(), 5 / 16.0 * 11 / 16, 1e-12);
  EXPECT_EQ(r.violations.value, 0);
  EXPECT_EQ(r.ways, 4);
  // Knowledge without noise makes next to none.
  queries_.clear();
  grant(question({0, 0, 1, 1}, 4), 1);
  EXPECT_LT(allocation_report(all(), kGrid, 0.1).violations_of_noise.value(), 0.03);
}

// Guesses at k that were not swept: both sides are judged by single answers.
TEST_F(AllocationTest, AGuesserBetweenTheSweptKGainsNothing) {
  std::mt19937_64 random(5);
  const auto guess = [&] { return random() % 4 == 0; };
  for (int i = 0; i < 400; ++i) {
    SweepQuestion& q = question({0, 0, 0, 0}, 4);
    for (const int32_t k : kGrid) {
      int right = 0;
      q.as_is[k] = guess();
      right += q.as_is[k] == 1;
      for (int way = 1; way < 4; ++way) right += guess();
      q.correct[k] = right / 4.0;
    }
    AuditedQuery& g = grant(q, 3.5, guess());
    g.uniform = false;
  }
  const auto r = allocation_report(all(), kGrid, 0.1);
  EXPECT_EQ(r.n_not_swept, 400);
  EXPECT_LT(r.gain.interval->lower, 0);
  EXPECT_LT(*r.gain.value, 0.03);
}

// The mean of 2 and 6 is a swept k, but not what ran.
TEST_F(AllocationTest, OnlyAUniformKIsTheSweptOne) {
  AuditedQuery& q = grant(question({0, 0, 1, 1}), 4, false);
  EXPECT_TRUE(was_swept(q, kGrid));
  q.uniform = false;
  EXPECT_FALSE(was_swept(q, kGrid));
  EXPECT_EQ(allocation_report(all(), kGrid, 0.1).accuracy.value, 0);
}

TEST_F(AllocationTest, CalibrationIsOfTheStatedProbabilities) {
  for (int i = 0; i < 20; ++i) {
    AuditedQuery& q = grant(question({i % 2 == 0 ? 1.0 : 0.0, 1, 1, 1}), 1);
    q.p_k = {{1, 0.5}, {8, 0.9}};
    q.complexity = i % 2;
  }
  const auto p = prediction_report(all(), kGrid);
  EXPECT_TRUE(p.by_complexity);
  EXPECT_EQ(p.spearman.value, 1);
  EXPECT_EQ(p.by_k[0].calibration.brier.value, 0.25);
  EXPECT_EQ(p.by_k[0].calibration.ece.value, 0);
  EXPECT_NEAR(*p.by_k[3].calibration.ece.value, 0.1, 1e-12);
  EXPECT_FALSE(p.by_k[1].calibration.brier.value);  // nothing stated at k = 2
}

class DriftTest : public AllocationTest {
 protected:
  // A sample as it is and under a shift.
  void pair(const std::vector<double>& need, double k, const std::vector<double>& shifted_need,
            double shifted_k) {
    const SweepQuestion& clean = question(need);
    grant(clean, k);
    SweepQuestion& shifted = question(shifted_need, 1, "typos:2");
    shifted.sample = clean.sample;
    grant(shifted, shifted_k);
  }
};

TEST_F(DriftTest, OnlyWhatTheNeedDoesNotFollowIsExcess) {
  for (int i = 0; i < 30; ++i) {
    pair({1, 1, 1, 1}, 1, {0, 0, 1, 1}, 4);                   // needs more, gets more
    pair({0, 1, 1, 1}, 2, {0, 1, 1, 1}, i % 2 == 0 ? 8 : 2);  // needs the same
  }
  const auto reports = drift_reports(twins_by_form(all()), kGrid, 0.1);
  ASSERT_EQ(reports.size(), 1u);
  const auto& d = reports[0];
  EXPECT_EQ(d.form, "typos:2");
  EXPECT_EQ(d.n, 60);
  EXPECT_EQ(d.n_need, 60);
  EXPECT_EQ(d.drift.value, (30 * 3 + 15 * 6) / 60.0);
  EXPECT_EQ(d.need_drift.value, 1.5);
  EXPECT_EQ(d.excess.value, 1.5);
  EXPECT_EQ(d.same_k.value, 0.25);
  EXPECT_EQ(d.jumps.value, 0.75);
  EXPECT_DOUBLE_EQ(*d.flops_ratio.value, (30 * 50 + 15 * 90 + 15 * 30) / (30 * 20 + 30 * 30.0));
  EXPECT_EQ(d.accuracy.value, 0);
  EXPECT_EQ(d.accuracy_p, 1);
  EXPECT_LT(d.drift_p, 1e-3);
  EXPECT_LT(d.excess_p, 1e-3);
  EXPECT_GT(d.accuracy.interval->upper, 0);  // nothing flipped, but something might
  EXPECT_GT(d.excess.interval->lower, 0);
}

TEST_F(DriftTest, AConstantKHasNone) {
  for (int i = 0; i < 10; ++i) pair({0, 0, 1, 1}, 4, {0, 0, 0, 1}, 4);
  const auto reports = drift_reports(twins_by_form(all()), kGrid, 0.1);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].drift.value, 0);
  EXPECT_EQ(reports[0].drift_p, 1);
  EXPECT_EQ(reports[0].same_k.value, 1);
  EXPECT_LT(reports[0].same_k.interval->lower, 0.8);
  EXPECT_EQ(reports[0].excess.value, -4);  // it does not follow the need either
  EXPECT_EQ(reports[0].accuracy.value, -1);
  EXPECT_DOUBLE_EQ(reports[0].accuracy_p, 2.0 / 1024);
}

TEST_F(DriftTest, FailuresCountAsWrongAndHaveNoK) {
  for (int i = 0; i < 8; ++i) pair({1, 1, 1, 1}, 1, {1, 1, 1, 1}, 2);
  for (int i = 0; i < 3; ++i) {
    pair({1, 1, 1, 1}, 1, {1, 1, 1, 1}, 0);
    queries_.back().failed = true;
    queries_.back().right = false;
    queries_.back().need = nullptr;
  }
  const auto d = drift_reports(twins_by_form(all()), kGrid, 0.1)[0];
  EXPECT_EQ(d.n, 8);
  EXPECT_EQ(d.failed, 3);
  EXPECT_EQ(d.drift.value, 1);
  EXPECT_FALSE(d.drift.interval);  // all alike
  EXPECT_EQ(d.to_wrong, 3);
  EXPECT_DOUBLE_EQ(*d.accuracy.value, -3 / 11.0);
}

TEST_F(DriftTest, NeedsThatVanishAreCounted) {
  for (int i = 0; i < 12; ++i) pair({0, 1, 1, 1}, 2, {0, 1, 1, i < 5 ? 0.0 : 1.0}, 2);
  const auto d = drift_reports(twins_by_form(all()), kGrid, 0.1)[0];
  EXPECT_EQ(d.n_need, 7);
  EXPECT_EQ(d.lost, 5);
  EXPECT_EQ(d.gained, 0);
}

TEST_F(DriftTest, ANeutralEditOfTheSameLengthIsSetBeside) {
  for (int i = 0; i < 12; ++i) {
    pair({1, 1, 1, 1}, 1, {1, 1, 1, 1}, 4);
    AuditedQuery neutral = queries_.back();
    neutral.form = "neutral.typos:2";
    neutral.k = 3;
    queries_.push_back(neutral);
  }
  const auto reports = drift_reports(twins_by_form(all()), kGrid, 0.1);
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0].drift.value, 3);
  EXPECT_EQ(reports[0].beside_neutral.value, 1);
  EXPECT_FALSE(reports[1].beside_neutral.value);
}

TEST_F(DriftTest, ManyShiftsAreAdjustedTogether) {
  DriftReport a, b, c;
  a.drift_p = 0.01;
  b.drift_p = 0.02;
  c.drift_p = 0.5;
  adjust({&a, &b, &c});
  EXPECT_DOUBLE_EQ(a.drift_holm, 0.03);
  EXPECT_DOUBLE_EQ(b.drift_holm, 0.04);
  EXPECT_DOUBLE_EQ(c.drift_holm, 0.5);
}

}  // namespace
}  // namespace harness
