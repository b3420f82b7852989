// The read side gives back what was written.
#include "results/queries.h"

#include "tests/results/store_fixture.h"

namespace results {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class QueriesTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    plan_ = small_plan(3, {1, 2});
    plan_.run.run_uuid = "abc-1";
    auto store = writer();
    store->begin_or_resume(plan_);
    for (int i = 0; i < 6; ++i) {
      AttemptBundle b = bundle_for(plan_, i, i % 2 == 0);
      b.output_text = fmt::format("output {}", i);
      b.verdicts.push_back(verdict(true, "other-1"));
      if (i == 0) b.prefixes = {{hash_of("p"), 0, 10, {1, 2, 3, 4, 5}, {}}};
      if (i == 5) {
        AttemptBundle failed = b;
        failed.attempt.status = "infra";
        failed.verdicts.clear();
        failed.prefixes.clear();
        store->append(failed);
      }
      store->append(b);
    }
    store->finish("complete");
  }
  RunPlan plan_;
};

TEST_F(QueriesTest, RunsComeBackWithTheirFacts) {
  const auto store = reader();
  const auto all = runs(*store);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].run.fingerprint, plan_.run.fingerprint);
  EXPECT_EQ(all[0].run.seed, 7);
  EXPECT_EQ(all[0].model.name, "planted");
  EXPECT_EQ(all[0].environment.cpu_model, "planted cpu");
  EXPECT_EQ(all[0].status, "complete");
  EXPECT_EQ(all[0].counts.planned, 6);
  EXPECT_EQ(all[0].counts.attempts, 7);
}

TEST_F(QueriesTest, ARunIsFoundByNameByPrefixAndAsTheLatest) {
  {
    auto store = writer();
    RunPlan second = plan_;
    second.run.run_uuid = "abc-2";
    store->begin_or_resume(second);
  }
  const auto store = reader();
  EXPECT_EQ(find_run(*store, "abc-1").run_id, 1);
  EXPECT_EQ(find_run(*store, "latest").run_id, 2);
  EXPECT_THAT(message_of<StoreError>([&] { find_run(*store, "ab"); }), HasSubstr("2 runs"));
  EXPECT_THAT(message_of<StoreError>([&] { find_run(*store, "x"); }), HasSubstr("no run x"));
  EXPECT_THAT(message_of<StoreError>([&] { find_run(*store, ""); }), HasSubstr("no run"));
}

TEST_F(QueriesTest, LeaderboardCellsCarryCountsFlopsAndLatencies) {
  const auto store = reader();
  const auto cells = leaderboard(*store, "abc-1");
  ASSERT_EQ(cells.size(), 2u);
  EXPECT_EQ(cells[0].policy, "fixed:1");
  EXPECT_EQ(cells[0].metric, "acc");
  EXPECT_EQ(cells[0].chance, 0.25);
  EXPECT_EQ(cells[0].n, 3);
  EXPECT_EQ(cells[0].n_correct, 2);
  EXPECT_EQ(cells[0].n_planned, 3);
  EXPECT_EQ(cells[0].useful_flops, 1005);
  EXPECT_EQ(cells[0].executed_flops, 555);
  EXPECT_THAT(cells[0].latencies_us, ElementsAre(1000, 1001, 1002));
  EXPECT_EQ(cells[1].policy, "fixed:2");
  EXPECT_EQ(cells[1].n, 3) << "the retried infrastructure failure is not counted twice";
  EXPECT_EQ(cells[1].n_correct, 1);
  EXPECT_EQ(cells[1].mean_k, 2.0);
  EXPECT_EQ(leaderboard(*store).size(), 2u);
}

TEST_F(QueriesTest, AttemptsStreamInPlanOrderWithEverythingAroundThem) {
  const auto store = reader();
  std::vector<StoredAttempt> got;
  for_each_attempt(*store, {.run_id = 1, .task_id = {}, .policy = {}, .with_text = true},
                   [&](const StoredAttempt& a) {
                     got.push_back(a);
                     return true;
                   });
  ASSERT_EQ(got.size(), 6u);
  for (int i = 0; i < 6; ++i) {
    const StoredAttempt& a = got[static_cast<size_t>(i)];
    EXPECT_EQ(a.attempt.ordinal, i);
    EXPECT_EQ(a.sample.source_key, fmt::format("planted/{}", i % 3));
    EXPECT_EQ(a.prompt, fmt::format("Five demonstrations.\n\nQuestion {}?\nAnswer:", i % 3));
    EXPECT_EQ(a.output_text, fmt::format("output {}", i));
    EXPECT_EQ(a.attempt.useful, (FlopsByPart{100, 1, 200, 30, 4}));
    EXPECT_EQ(a.options.size(), 4u);
    EXPECT_EQ(a.options[1].logprob_nats, -1.25);
    ASSERT_TRUE(a.verdict);
    EXPECT_EQ(a.verdict->correct, i % 2 == 0 ? 1 : 0);
    EXPECT_EQ(a.verdicts.size(), 2u);
  }
  EXPECT_EQ(got[5].try_ix, 1);
  EXPECT_EQ(got[5].attempt.status, "ok");
  int n = 0;
  for_each_attempt(*store, {.run_id = 1, .task_id = 1, .policy = "fixed:2", .with_text = false},
                   [&](const StoredAttempt& a) {
                     EXPECT_EQ(a.policy.label, "fixed:2");
                     EXPECT_FALSE(a.prompt || a.output_text);
                     return ++n < 2;
                   });
  EXPECT_EQ(n, 2) << "false stops";
}

TEST_F(QueriesTest, TasksAndPrefixesOfARun) {
  const auto store = reader();
  const auto tasks = tasks_of_run(*store, 1);
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].task.name, "planted_task");
  EXPECT_EQ(tasks[0].dataset.sha256, hash_of("data"));
  const auto policies = policies_of_run(*store, 1);
  ASSERT_EQ(policies.size(), 2u);
  EXPECT_EQ(policies[1].label, "fixed:2");
  EXPECT_EQ(policies[1].k_fixed, 2);
  EXPECT_EQ(prefix_flops(*store, 1), (FlopsByPart{1, 2, 3, 4, 5}));
}

TEST_F(QueriesTest, PlannedCellsCountWhatWasPromisedBegunOrNot) {
  {
    auto store = writer();
    RunPlan second = small_plan(3, {4});
    second.run.run_uuid = "second";
    second.tasks.push_back(second.tasks[0]);
    second.tasks[1].task.name = "later_task";
    second.tasks[1].task.task_sha256 = hash_of("later");
    for (int i = 0; i < 3; ++i) second.planned.push_back({.task = 1, .sample = i});
    store->begin_or_resume(second);
    store->append(bundle_for(second, 0));
    AttemptBundle unmarked = bundle_for(second, 1);
    unmarked.verdicts.clear();
    store->append(unmarked);
    AttemptBundle failed = bundle_for(second, 2);
    failed.attempt.status = "infra";
    store->append(failed);
    store->finish("interrupted");
  }
  const auto store = reader();
  const auto first = planned_cells(*store, 1);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].policy, "fixed:1");
  EXPECT_EQ(first[1].planned, 3);
  EXPECT_EQ(first[1].graded, 3) << "a retried row counts once";
  const auto cells = planned_cells(*store, find_run(*store, "second").run_id);
  ASSERT_EQ(cells.size(), 2u);
  EXPECT_EQ(cells[0].task, "planted_task");
  EXPECT_EQ(cells[0].planned, 3);
  EXPECT_EQ(cells[0].done, 2);
  EXPECT_EQ(cells[0].graded, 1);
  EXPECT_EQ(cells[1].task, "later_task");
  EXPECT_EQ(cells[1].planned, 3);
  EXPECT_EQ(cells[1].done, 0);
}

TEST_F(QueriesTest, PrefixesBelongToTheTaskAndPolicyThatUsedThem) {
  {
    auto store = writer();
    RunPlan second = small_plan(2, {1, 2});
    second.run.run_uuid = "second";
    store->begin_or_resume(second);
    for (int i = 0; i < 4; ++i) {
      AttemptBundle b = bundle_for(second, i);
      const int policy = i / 2;
      b.attempt.prefix_sha256 = hash_of(policy == 0 ? "p0" : "p1");
      if (i == 0) b.prefixes = {{hash_of("p0"), 0, 10, {1, 2, 3, 4, 5}, {}}};
      if (i == 2) b.prefixes = {{hash_of("p1"), 1, 10, {10, 20, 30, 40, 50}, {}}};
      if (i == 3)
        b.prefixes = {{hash_of("p1"), 1, 10, {10, 20, 30, 40, 50}, {}}};  // computed again
      store->append(b);
    }
    store->finish("complete");
  }
  const auto store = reader();
  const auto run = find_run(*store, "second").run_id;
  const auto task = tasks_of_run(*store, run).at(0).task_id;
  EXPECT_EQ(prefix_flops(*store, run, task, "fixed:1"), (FlopsByPart{1, 2, 3, 4, 5}));
  EXPECT_EQ(prefix_flops(*store, run, task, "fixed:2"), (FlopsByPart{20, 40, 60, 80, 100}));
  EXPECT_EQ(prefix_flops(*store, run, task + 1, "fixed:2"), FlopsByPart{});
  EXPECT_EQ(prefix_flops(*store, 1, 1, "fixed:1"), FlopsByPart{}) << "nobody used that one";
}

}  // namespace
}  // namespace results
