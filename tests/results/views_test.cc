// Views against planted truth.
#include <map>

#include "tests/results/store_fixture.h"

namespace results {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using ViewsTest = StoreTest;

struct Case {
  std::string name;
  std::vector<bool> right_at;  // k = 1, 2, 4, 8
  int64_t k_used;
  bool right;
  std::string expected;
};

TEST_F(ViewsTest, TenPlantedQueriesFallIntoTheirClasses) {
  const std::vector<Case> cases = {
      {"needs 4, got 4", {false, false, true, true}, 4, true, "exact"},
      {"needs 4, got 3, between the swept 2 and 4", {false, false, true, true}, 3, true, "exact"},
      {"needs 1, got 1", {true, true, true, true}, 1, true, "exact"},
      {"needs 2, got 8", {false, true, true, true}, 8, true, "over"},
      {"needs 8, got 2", {false, false, false, true}, 2, false, "under"},
      {"needs 8, got 6, between the swept 4 and 8",
       {false, false, false, true},
       6,
       false,
       "boundary"},
      {"needs 8, right with 1", {true, false, false, true}, 1, true, "lucky"},
      {"right at 4 alone, right here", {false, false, true, false}, 4, true, "lucky"},
      {"needs 2, wrong with 4", {false, true, true, true}, 4, false, "unstable"},
      {"never right", {false, false, false, false}, 8, false, "hopeless"},
  };
  const std::vector<int64_t> ks = {1, 2, 4, 8};
  const int n = static_cast<int>(cases.size());
  RunPlan sweep = small_plan(n, ks);
  sweep.run.kind = "sweep";
  {
    auto store = writer();
    store->begin_or_resume(sweep);
    for (size_t k = 0; k < ks.size(); ++k) {
      for (int i = 0; i < n; ++i)
        store->append(bundle_for(sweep, static_cast<int64_t>(k) * n + i,
                                 cases[static_cast<size_t>(i)].right_at[k]));
    }
    EXPECT_EQ(store->finish("complete"), "complete");
  }
  RunPlan policy = small_plan(n);
  policy.policies[0].kind = "predictor";
  policy.policies[0].k_fixed.reset();
  policy.policies[0].label = "predictor:p.bin";
  {
    auto store = writer();
    store->begin_or_resume(policy);
    for (int i = 0; i < n; ++i) {
      const Case& c = cases[static_cast<size_t>(i)];
      AttemptBundle b = bundle_for(policy, i, c.right);
      b.attempt.k_requested = c.k_used;
      b.attempt.k_mean = static_cast<double>(c.k_used);
      store->append(b);
    }
    EXPECT_EQ(store->finish("complete"), "complete");
  }
  Sql sql(file_);
  const auto rows = sql.rows(
      "SELECT class FROM v_misallocation m JOIN attempt a USING(attempt_id) ORDER BY ordinal");
  ASSERT_EQ(rows.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(rows[i], cases[i].expected) << cases[i].name;
  EXPECT_THAT(sql.rows("SELECT k_first, k_stable, k_prev, n_k, k_largest FROM v_need "
                       "ORDER BY sample_id LIMIT 10"),
              ElementsAre("4|4|2|4|8", "4|4|2|4|8", "1|1|~|4|8", "2|2|1|4|8", "8|8|4|4|8",
                          "8|8|4|4|8", "1|8|4|4|8", "4|~|~|4|8", "2|2|1|4|8", "~|~|~|4|8"));
  EXPECT_EQ(sql.one("SELECT k_gap FROM v_misallocation WHERE class = 'over'"), "6.0");
  EXPECT_THAT(sql.rows("SELECT DISTINCT run_id, sweep_run_id FROM v_misallocation"),
              ElementsAre("2|1"));
}

// Question 0 is right at k = 1 in three of four option orders, at 2 in all; question 1 at 1 in all,
// at 2 in two. A typo is another question.
TEST_F(ViewsTest, OptionOrdersAreWaysToAskOneQuestionAndATypoIsAnother) {
  RunPlan sweep = small_plan(2, {1, 2});
  sweep.run.kind = "sweep";
  for (int64_t by = 1; by < 4; ++by) {
    ShiftRow order;
    order.name = "option_order";
    order.family = "option_order";
    order.severity = by;
    sweep.shifts.push_back(order);
  }
  ShiftRow typos;
  typos.name = "typos";
  typos.family = "typos";
  typos.severity = 1;
  sweep.shifts.push_back(typos);
  const std::vector<PlannedRow> clean = sweep.planned;
  for (int32_t s = 1; s <= 4; ++s)
    for (PlannedRow row : clean) {
      row.shift = s;
      sweep.planned.push_back(row);
    }
  {
    auto store = writer();
    store->begin_or_resume(sweep);
    for (size_t i = 0; i < sweep.planned.size(); ++i) {
      const PlannedRow& p = sweep.planned[i];
      bool right = p.shift < 4 || p.policy == 1;
      if (p.sample == 0 && p.policy == 0 && p.shift == 3) right = false;
      if (p.sample == 1 && p.policy == 1 && (p.shift == 1 || p.shift == 2)) right = false;
      store->append(bundle_for(sweep, static_cast<int64_t>(i), right));
    }
    EXPECT_EQ(store->finish("complete"), "complete");
  }
  EXPECT_THAT(
      Sql(file_).rows("SELECT source_key, question_shift, n_ways, k_first, k_stable, k_prev, "
                      "need FROM v_need JOIN sample USING(sample_id) ORDER BY 1, 2"),
      ElementsAre("planted/0|clean|4|1|1|~|easy", "planted/0|typos:1|1|2|2|1|elastic",
                  "planted/1|clean|4|1|~|~|inverse", "planted/1|typos:1|1|2|2|1|elastic"));
}

// Needs 8; granted 4 by a cap. The cap is to blame where the wish would have been enough.
TEST_F(ViewsTest, TheCapIsBlamedForWhatItTookAway) {
  RunPlan sweep = small_plan(3, {1, 4, 8});
  sweep.run.kind = "sweep";
  {
    auto store = writer();
    store->begin_or_resume(sweep);
    for (int i = 0; i < 9; ++i) store->append(bundle_for(sweep, i, i >= 6));
    store->finish("complete");
  }
  RunPlan policy = small_plan(3);
  policy.policies[0].kind = "predictor";
  policy.policies[0].k_fixed.reset();
  {
    auto store = writer();
    store->begin_or_resume(policy);
    for (int i = 0; i < 3; ++i) {
      AttemptBundle b = bundle_for(policy, i, false);
      b.attempt.k_requested = 2;
      b.attempt.k_mean = 2;
      if (i < 2) {
        b.attempt.capped = 1;
        b.attempt.k_uncapped = i == 0 ? 8 : 4;
      }
      store->append(b);
    }
    store->finish("complete");
  }
  EXPECT_THAT(Sql(file_).rows("SELECT class FROM v_misallocation ORDER BY attempt_id"),
              ElementsAre("capped", "under", "under"));
}

TEST_F(ViewsTest, TheNeedIsReadFromSweepsOfTheSameWeightsOnly) {
  RunPlan sweep = small_plan(1, {1, 2});
  sweep.run.kind = "sweep";
  sweep.model.weights_sha256 = hash_of("other weights");
  {
    auto store = writer();
    store->begin_or_resume(sweep);
    store->append(bundle_for(sweep, 0));
    store->append(bundle_for(sweep, 1));
    store->finish("complete");
  }
  const RunPlan policy = small_plan(1);
  {
    auto store = writer();
    store->begin_or_resume(policy);
    store->append(bundle_for(policy, 0));
    store->finish("complete");
  }
  EXPECT_EQ(Sql(file_).one("SELECT COUNT(*) FROM v_need"), "1");
  EXPECT_THAT(Sql(file_).rows("SELECT * FROM v_misallocation"), IsEmpty());
}

TEST_F(ViewsTest, PercentilesAreNearestRankAndAbsentWhenTheSampleIsTooSmall) {
  const RunPlan plan = small_plan(200);
  auto store = writer();
  store->begin_or_resume(plan);
  for (int i = 0; i < 200; ++i) {
    AttemptBundle b = bundle_for(plan, i);
    b.attempt.latency_us = (i * 37) % 200 + 1;  // 1..200, shuffled
    store->append(b);
  }
  EXPECT_EQ(store->finish("complete"), "complete");
  EXPECT_EQ(Sql(file_).one("SELECT task, k_bucket, n, p50_us, p90_us, p95_us, p99_us, p999_us, "
                           "max_us, p99_ci_exists FROM v_latency_tails"),
            "planted_task|1|200|100|180|190|198|~|200|0");
}

TEST_F(ViewsTest, AFailedQueryIsWrongAndAnUnscoredOneIsNeither) {
  const RunPlan plan = small_plan(4);
  auto store = writer();
  store->begin_or_resume(plan);
  store->append(bundle_for(plan, 0, true));
  AttemptBundle too_long = bundle_for(plan, 1, false);
  too_long.attempt.status = "too_long";
  too_long.verdicts[0].outcome = "too_long";
  store->append(too_long);
  AttemptBundle timeout = bundle_for(plan, 2, false);
  timeout.verdicts[0].outcome = "timeout_cpu";
  store->append(timeout);
  AttemptBundle unscored = bundle_for(plan, 3);
  unscored.verdicts[0] = VerdictRow{};
  unscored.verdicts[0].scorer = "letters-1";
  unscored.verdicts[0].outcome = "unscored";
  store->append(unscored);
  EXPECT_EQ(store->finish("complete"), "complete");
  Sql sql(file_);
  EXPECT_EQ(sql.one("SELECT n, n_correct, n_failed, n_ungraded FROM v_leaderboard"), "3|1|1|1");
  EXPECT_THAT(sql.rows("SELECT outcome FROM v_attempt ORDER BY ordinal"),
              ElementsAre("passed", "too_long", "timeout_cpu", "unscored"));
}

TEST_F(ViewsTest, EnergyPerRightAnswerNeedsEveryMeasurement) {
  const RunPlan plan = small_plan(2);
  auto store = writer();
  store->begin_or_resume(plan);
  AttemptBundle b = bundle_for(plan, 0);
  b.attempt.energy_uj = 3000000;
  store->append(b);
  store->append(bundle_for(plan, 1));
  store->finish("complete");
  EXPECT_EQ(Sql(file_).one("SELECT joule_per_correct FROM v_leaderboard"), "~");
}

}  // namespace
}  // namespace results
