// Comparisons of runs with planted differences.
#include "harness/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/compare_report.h"
#include "harness/exit_code.h"
#include "tests/harness/planted_run.h"
#include "tests/harness/program.h"
#include "tests/support/temp_folder.h"

namespace {

using namespace harness;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class CompareTest : public testing::Test {
 protected:
  std::string db(const char* name = "a.db") const { return folder_.path() / name; }
  Comparison compare(const std::string& a, const std::string& b) const {
    return compare_runs(find_compared_run(db(), a), find_compared_run(db(), b));
  }
  program::Result moeval(std::vector<std::string> args) const {
    args.insert(args.end(), {"--db", db()});
    return program::run(folder_.path(), args);
  }
  // 60 questions: 0-39 right in A; B loses 30-39 but for 39, and wins 40-43.
  void store_pair() const {
    planted::store(db(), {.uuid = "base", .right = [](int q, int, int) { return q < 40; }});
    planted::store(db(), {.uuid = "cand",
                          .right = [](int q, int, int) { return q < 30 || (q >= 39 && q < 44); }});
  }
  support::TempFolder folder_;
};

TEST_F(CompareTest, FindsThePlantedTableDifferenceAndFlips) {
  store_pair();
  const auto c = compare("base", "cand");
  ASSERT_EQ(c.tasks.size(), 1u);
  const auto& t = c.tasks[0];
  ASSERT_TRUE(t.table && t.mcnemar && t.difference);
  EXPECT_EQ(t.table->both_right, 31);
  EXPECT_EQ(t.table->right_to_wrong, 9);
  EXPECT_EQ(t.table->wrong_to_right, 4);
  EXPECT_EQ(t.table->both_wrong, 16);
  EXPECT_DOUBLE_EQ(*t.score_a, 40 / 60.0);
  EXPECT_DOUBLE_EQ(*t.score_b, 35 / 60.0);
  EXPECT_NEAR(t.difference->difference, -5 / 60.0, 1e-12);
  const double psi = 13 / 60.0;
  EXPECT_NEAR(t.difference->standard_error, std::sqrt((psi - 25 / 3600.0) / 60), 1e-12);
  EXPECT_NEAR(t.mcnemar->exact_p, 0.266845703125, 1e-12);  // 2 P(X <= 4), X from B(13, 1/2)
  ASSERT_EQ(t.flips.size(), 13u);
  for (size_t i = 0; i < 13; ++i) {
    const auto& q = t.queries[t.flips[i]];
    EXPECT_EQ(q.b < q.a, i < 9) << "right to wrong comes first";
  }
  EXPECT_EQ(t.attempts[t.queries[t.flips[0]].first].sample, "planted_task/30");
  EXPECT_EQ(t.attempts[t.queries[t.flips[9]].first].sample, "planted_task/40");
  ASSERT_TRUE(t.by_subject) << "60 questions in 12 subjects";
  EXPECT_EQ(t.by_subject->n_clusters, 12);
  EXPECT_NEAR(t.by_subject->difference, -5 / 60.0, 1e-12);
  EXPECT_EQ(t.prompts_differ, 0);
  for (const Fact& f : c.facts) EXPECT_TRUE(f.same) << f.what;
}

TEST_F(CompareTest, TheProgramPrintsAllOfItInEveryFormat) {
  store_pair();
  auto r = moeval({"compare", "base", "cand", "--max-flips", "4"});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("-8.33  [-20.94, +3.82]"));
  EXPECT_THAT(r.out, HasSubstr("13 flips, 9 to worse, 4 to better"));
  EXPECT_THAT(r.out, HasSubstr("planted_task/30  clean  right  wrong    4    4  A         B"));
  EXPECT_THAT(r.out, HasSubstr("planted_task/41"));
  EXPECT_THAT(r.out, Not(HasSubstr("planted_task/32")));
  EXPECT_THAT(r.out, HasSubstr("9 more flips are left out"));
  r = moeval({"compare", "base", "cand", "--format", "md"});
  EXPECT_EQ(r.code, 0);
  EXPECT_THAT(r.out, HasSubstr("| planted_task | acc | 60 | 0.25 | 66.67% | 58.33% | -8.33 |"));
  EXPECT_THAT(r.out, HasSubstr("planted_task/38"));
  EXPECT_THAT(r.out, Not(HasSubstr("left out")));
  r = moeval({"compare", "base", "cand", "--format", "json"});
  const auto j = nlohmann::json::parse(r.out);
  EXPECT_EQ(j["tasks"][0]["table"]["right_to_wrong"], 9);
  EXPECT_EQ(j["tasks"][0]["flips"].size(), 13u);
  EXPECT_EQ(j["tasks"][0]["flips"][0]["answer_b"], "B");
  EXPECT_EQ(j["tasks"][0]["k_transitions"][0]["attempts"], 60);
}

TEST_F(CompareTest, RunsAreNamedByPlaceByBeginningAndByPolicy) {
  store_pair();
  planted::store(db(), {.uuid = "sweep", .tasks = {{"planted_task", 5}}, .policies = {1, 2}});
  EXPECT_EQ(find_compared_run(db(), "latest~1").info.run.run_uuid, "cand");
  EXPECT_EQ(find_compared_run(db(), "ba").info.run.run_uuid, "base");
  EXPECT_EQ(find_compared_run(db(), "latest@fixed:2").policy.k_fixed, 2);
  for (const char* bad : {"latest", "latest@fixed:3", "latest~3", "nobody", "latest~x"})
    EXPECT_THROW(find_compared_run(db(), bad), UsageError) << bad;
  const auto c = compare("sweep@fixed:1", "sweep@fixed:2");
  EXPECT_EQ(c.tasks.at(0).k_transitions,
            (std::map<std::pair<int64_t, int64_t>, int64_t>{{{1, 2}, 5}}));
  EXPECT_EQ(moeval({"compare", "latest", "base"}).code, 2);
}

TEST_F(CompareTest, AllocationAndComputeAreAccountedPerQuery) {
  planted::store(db(), {.uuid = "base", .flops = 1000, .prefix_flops = 6000});
  planted::store(db(), {.uuid = "cand",
                        .k = [](int q) { return q < 15   ? 2
                                                : q < 20 ? 8
                                                         : 4; },
                        .flops = 900,
                        .prefix_flops = 3000});
  const auto t = compare("base", "cand").tasks.at(0);
  EXPECT_EQ(t.k_transitions, (std::map<std::pair<int64_t, int64_t>, int64_t>{
                                 {{4, 2}, 15}, {{4, 8}, 5}, {{4, 4}, 40}}));
  EXPECT_EQ(t.k_mean.n, 60);
  EXPECT_EQ(t.k_mean.n_differ, 20);
  EXPECT_NEAR(t.k_mean.b, (15 * 2 + 5 * 8 + 40 * 4) / 60.0, 1e-12);
  EXPECT_EQ(t.useful_flops.a, 1000);
  EXPECT_EQ(t.useful_flops.b, 900);
  EXPECT_EQ(t.useful_flops.n_differ, 60);
  EXPECT_EQ(t.executed_a(), 500 + 100.0) << "60 queries share a prefix of 6000";
  EXPECT_EQ(t.executed_b(), 450 + 50.0);
  const auto text = render_comparison(compare("base", "cand"), Format::table, 20);
  EXPECT_THAT(text, HasSubstr("k of A \\ k of B   2   4  8"));
  EXPECT_THAT(text, HasSubstr("4                15  40  5"));
}

TEST_F(CompareTest, RepeatsAreAveragedBeforeAnythingElse) {
  // A: 5 of 10 each time. B: 7 of 10 on the first 30 problems.
  const std::vector<std::pair<std::string, int>> tasks = {{"planted_task", 45}};
  planted::store(db(), {.uuid = "base", .tasks = tasks, .repeats = 4, .right = [](int, int, int r) {
                          return r % 2 == 0;
                        }});
  planted::store(db(),
                 {.uuid = "cand", .tasks = tasks, .repeats = 4, .right = [](int q, int, int r) {
                    return r % 2 == 0 || (q < 30 && r == 1);
                  }});
  const auto t = compare("base", "cand").tasks.at(0);
  EXPECT_TRUE(t.repeated);
  EXPECT_EQ(t.queries.size(), 45u);
  EXPECT_EQ(t.attempts.size(), 180u);
  EXPECT_DOUBLE_EQ(*t.score_a, 0.5);
  EXPECT_NEAR(t.difference->difference, 0.25 * 30 / 45, 1e-12);
  EXPECT_EQ(t.difference->method, tasks::IntervalMethod::bootstrap_bca);
  EXPECT_EQ(t.difference->n_clusters, 45);
  EXPECT_FALSE(t.table || t.mcnemar) << "no verdicts to count";
  EXPECT_EQ(t.flips.size(), 30u);
}

TEST_F(CompareTest, ShiftedFormsOfAQuestionAreOneCluster) {
  // All variants of a question flip together: 3 x 20 rows know as much as 20.
  const std::vector<std::pair<std::string, int>> tasks = {{"planted_task", 20}};
  planted::store(db(), {.uuid = "base", .tasks = tasks, .variants = 3});
  planted::store(db(),
                 {.uuid = "cand", .tasks = tasks, .variants = 3, .right = [](int q, int, int) {
                    return q % 5 != 0;
                  }});
  const auto t = compare("base", "cand").tasks.at(0);
  EXPECT_EQ(t.queries.size(), 60u);
  EXPECT_EQ(t.attempts[0].shift, "typos/1 seed 0");
  ASSERT_TRUE(t.difference);
  EXPECT_EQ(t.difference->n_clusters, 20);
  EXPECT_NEAR(t.difference->standard_error, std::sqrt(0.2 * 0.8 / 20), 0.003);
  // 60 rows are no 60 independent pairs.
  EXPECT_FALSE(t.mcnemar);
  EXPECT_FALSE(t.table);
}

TEST_F(CompareTest, WhatHasNoPartnerIsCountedAndLeftOut) {
  planted::store(db(), {.uuid = "base"});
  planted::store(db(), {.uuid = "short", .tasks = {{"planted_task", 10}}});
  planted::store(db(), {.uuid = "more", .tasks = {{"planted_task", 10}, {"other_task", 3}}});
  planted::store(db(), {.uuid = "part", .stored = 25});
  const auto c = compare("base", "more");
  EXPECT_EQ(c.tasks.at(0).only_a, 50);
  EXPECT_EQ(c.tasks.at(0).queries.size(), 10u);
  EXPECT_THAT(c.only_b, ElementsAre("other_task"));
  EXPECT_EQ(compare("short", "base").tasks.at(0).only_b, 50);
  EXPECT_EQ(compare("part", "base").tasks.at(0).only_b, 35);
  const auto r = moeval({"compare", "base", "short"});
  EXPECT_EQ(r.code, 0);
  EXPECT_THAT(r.out, HasSubstr("50 attempts are only in A, 0 only in B"));
}

TEST_F(CompareTest, AnAnswerThatWasNotMarkedIsNeitherRightNorWrong) {
  planted::store(db(), {.uuid = "base"});
  planted::store(db(), {.uuid = "cand", .marked = [](int q) { return q >= 7; }});
  for (const bool swapped : {false, true}) {
    const auto t = (swapped ? compare("cand", "base") : compare("base", "cand")).tasks.at(0);
    EXPECT_EQ(t.ungraded, 7);
    EXPECT_EQ(t.queries.size(), 53u);
    EXPECT_EQ(t.table->both_right, 53);
    EXPECT_EQ(t.k_mean.n, 60) << "it was computed all the same";
  }
}

TEST_F(CompareTest, OtherQuestionsAreNotComparable) {
  store_pair();
  planted::store(db(), {.uuid = "data", .change = [](results::RunPlan& p) {
                          p.tasks[0].dataset.sha256 = results::hash_of("other data");
                        }});
  planted::store(db(), {.uuid = "task", .tasks = {{"other_task", 3}}});
  for (const char* other : {"data", "task"}) {
    const auto r = moeval({"compare", "base", other});
    EXPECT_EQ(r.code, 7) << other;
    EXPECT_THAT(r.err, HasSubstr("not comparable"));
  }
  EXPECT_THAT(moeval({"compare", "base", "data"}).out, HasSubstr("data sets differ"));
}

TEST_F(CompareTest, DifferencesBetweenTheRunsAreNamed) {
  planted::store(db(), {.uuid = "base"});
  planted::store(db("b.db"), {.uuid = "cand", .policies = {8}, .change = [](results::RunPlan& p) {
                                p.model.weights_sha256 = results::hash_of("other weights");
                                p.model.tokenizer_sha256 = results::hash_of("other tokenizer");
                                p.tasks[0].task.n_shot = 5;
                                p.tasks[0].task.scorer = "letters-2";
                                p.run.seed = 8;
                                p.run.config_json = R"({"gate_norm": "raw", "temperature": 0.8})";
                              }});
  const auto c =
      compare_runs(find_compared_run(db(), "base"), find_compared_run(db("b.db"), "cand"));
  std::vector<std::string> differ;
  for (const Fact& f : c.facts)
    if (!f.same) differ.push_back(f.what);
  EXPECT_THAT(differ, ElementsAre("tokenizer", "model", "policy", "gate_norm", "generation", "seed",
                                  "task", "scorer"));
  const auto r =
      program::run(folder_.path(), {"compare", "base", "cand", "--db", db(), "--db-b", db("b.db")});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, testing::ContainsRegex("\nseed +7 +8\n"));
}

TEST_F(CompareTest, AMissingDatabaseIsADatabaseError) {
  EXPECT_EQ(moeval({"compare", "a", "b"}).code, 6);
}

TEST(Points, AreSignedHundredths) {
  EXPECT_EQ(points(-0.0142), "-1.42");
  EXPECT_EQ(points(0.5), "+50.00");
  EXPECT_EQ(points(-0.00001), "0.00");
  EXPECT_EQ(points(tasks::Interval{-0.0171, 0}), "[-1.71, 0.00]");
}

}  // namespace
