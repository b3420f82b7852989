// Which run is continued, who may continue it, and what a changed plan is told.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "results/lease.h"
#include "results/plan.h"
#include "tests/results/store_fixture.h"

namespace results {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using ResumeTest = StoreTest;

// Stores the first n planned rows and stops without finishing.
RunStart store_some(ResultStore& store, const RunPlan& plan, int n) {
  const RunStart start = store.begin_or_resume(plan);
  for (int i = 0; i < n; ++i) store.append(bundle_for(plan, i));
  store.flush();
  return start;
}

TEST_F(ResumeTest, AnUnfinishedRunWithTheSameFingerprintIsContinued) {
  const RunPlan plan = small_plan(5);
  const std::string uuid = store_some(*writer(), plan, 2).run_uuid;
  auto store = writer();
  const RunStart start = store->begin_or_resume(plan);
  EXPECT_TRUE(start.resumed);
  EXPECT_EQ(start.run_uuid, uuid);
  EXPECT_EQ(start.session_ix, 1);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(start.states[static_cast<size_t>(i)].done, i < 2) << i;
  for (int i = 2; i < 5; ++i) store->append(bundle_for(plan, i));
  EXPECT_EQ(store->finish("complete"), "complete");
  EXPECT_THAT(store->verify().problems, IsEmpty());
  EXPECT_EQ(Sql(file_).one("SELECT COUNT(*) FROM run"), "1");
}

TEST_F(ResumeTest, TheTableOfAResumedRunIsThatOfAnUninterruptedOne) {
  const RunPlan plan = small_plan(6);
  { store_some(*writer(), plan, 3); }
  {
    auto store = writer();
    store->begin_or_resume(plan);
    for (int i = 5; i >= 3; --i) store->append(bundle_for(plan, i));
    store->finish("complete");
  }
  RunPlan again = plan;
  again.mode = StartMode::new_run;
  {
    auto store = writer();
    store_some(*store, again, 6);
    store->finish("complete");
  }
  const auto plain = [&](int run) {
    return Sql(file_).rows(fmt::format(
        "SELECT ordinal, source_key, policy, status, k_mean, prompt_tokens, useful_flops, outcome, "
        "answer, score FROM v_attempt WHERE run_id = {} ORDER BY ordinal",
        run));
  };
  EXPECT_EQ(plain(1).size(), 6u);
  EXPECT_EQ(plain(1), plain(2));
}

TEST_F(ResumeTest, ACompleteRunIsReturnedAsItIs) {
  const RunPlan plan = small_plan(1);
  {
    auto store = writer();
    store_some(*store, plan, 1);
    store->finish("complete");
  }
  auto store = writer();
  const RunStart start = store->begin_or_resume(plan);
  EXPECT_TRUE(start.complete);
  EXPECT_TRUE(start.states[0].done);
  EXPECT_EQ(store->finish("complete"), "complete");
  EXPECT_EQ(Sql(file_).one("SELECT COUNT(*) FROM run_session"), "1");
  RunPlan fresh = plan;
  fresh.reuse_complete = false;
  EXPECT_FALSE(writer()->begin_or_resume(fresh).resumed);
}

TEST_F(ResumeTest, AnotherFingerprintBeginsAnotherRunUnlessOneWasNamed) {
  const RunPlan plan = small_plan(2);
  { store_some(*writer(), plan, 1); }
  RunPlan other = plan;
  other.run.fingerprint["seed"] = "8";
  EXPECT_FALSE(writer()->begin_or_resume(other).resumed);
}

TEST_F(ResumeTest, EveryFingerprintKeyIsCheckedAndNamed) {
  RunPlan plan = small_plan(2);
  plan.run.run_uuid = "night-1";
  { store_some(*writer(), plan, 1); }
  for (const auto& [key, value] : plan.run.fingerprint) {
    RunPlan changed = plan;
    changed.run.fingerprint[key] = "something else";
    const std::string said =
        message_of<FingerprintMismatch>([&] { writer()->begin_or_resume(changed); });
    EXPECT_THAT(said, AllOf(HasSubstr("night-1"), HasSubstr(key + ": stored '" + value + "'"),
                            HasSubstr("now 'something else'")));
    for (const auto& [other_key, unused] : plan.run.fingerprint) {
      EXPECT_EQ(said.find(other_key + ": stored") != std::string::npos, other_key == key);
    }
    RunPlan without = plan;
    without.run.fingerprint.erase(key);
    EXPECT_THAT(message_of<FingerprintMismatch>([&] { writer()->begin_or_resume(without); }),
                HasSubstr(key + ": stored '" + value + "', now nothing"));
  }
  RunPlan more = plan;
  more.run.fingerprint["sandbox"] = "x";
  EXPECT_THAT(message_of<FingerprintMismatch>([&] { writer()->begin_or_resume(more); }),
              HasSubstr("sandbox: stored nothing, now 'x'"));
  EXPECT_TRUE(writer()->begin_or_resume(plan).resumed) << "positive control";
}

TEST_F(ResumeTest, ResumeWithoutANameTakesTheNewestUnfinishedRunAndComparesIt) {
  RunPlan plan = small_plan(2);
  plan.mode = StartMode::resume;
  EXPECT_THAT(message_of<StoreError>([&] { writer()->begin_or_resume(plan); }),
              HasSubstr("no unfinished run"));
  plan.mode = StartMode::automatic;
  { store_some(*writer(), plan, 1); }
  plan.mode = StartMode::resume;
  RunPlan changed = plan;
  changed.run.fingerprint["model"] = "m2";
  EXPECT_THAT(message_of<FingerprintMismatch>([&] { writer()->begin_or_resume(changed); }),
              HasSubstr("model: stored 'm1', now 'm2'"));
  EXPECT_TRUE(writer()->begin_or_resume(plan).resumed);
}

TEST_F(ResumeTest, AnotherPlanUnderTheSameFingerprintIsRefused) {
  RunPlan plan = small_plan(2);
  plan.run.run_uuid = "night-1";
  { store_some(*writer(), plan, 1); }
  RunPlan longer = small_plan(3);
  longer.run.run_uuid = "night-1";
  EXPECT_THAT(message_of<FingerprintMismatch>([&] { writer()->begin_or_resume(longer); }),
              HasSubstr("plan: stored"));
}

TEST_F(ResumeTest, AChangedItemUnderTheSameHashesIsRefused) {
  const RunPlan plan = small_plan(2);
  { store_some(*writer(), plan, 1); }
  RunPlan changed = plan;
  changed.tasks[0].samples[1].gold = "D";
  EXPECT_THAT(message_of<StoreError>([&] { writer()->begin_or_resume(changed); }),
              AllOf(HasSubstr("planted/1"), HasSubstr("'A'"), HasSubstr("'D'")));
}

TEST_F(ResumeTest, ARefusedBeginningLeavesNothingBehind) {
  RunPlan plan = small_plan(2);
  plan.run.run_uuid = "night-1";
  { store_some(*writer(), plan, 1); }
  const auto rows = [&] {
    return Sql(file_).one(
        "SELECT (SELECT COUNT(*) FROM policy), (SELECT COUNT(*) FROM sample), "
        "(SELECT COUNT(*) FROM run_session), (SELECT COUNT(*) FROM lease)");
  };
  const std::string before = rows();
  RunPlan other = small_plan(4, {1, 2});
  other.run.run_uuid = "night-1";
  message_of<FingerprintMismatch>([&] { writer()->begin_or_resume(other); });
  EXPECT_EQ(rows(), before);
}

TEST_F(ResumeTest, ASecondStoreInThisProcessIsRefused) {
  const RunPlan plan = small_plan(2);
  auto first = writer();
  first->begin_or_resume(plan);
  EXPECT_THAT(message_of<StoreError>([&] { writer()->begin_or_resume(plan); }),
              HasSubstr(fmt::format("process {}", getpid())));
  first->append(bundle_for(plan, 0));
  first->flush();
}

TEST_F(ResumeTest, ASecondLivingProcessIsRefusedAndADeadOneIsReplaced) {
  const RunPlan plan = small_plan(2);
  int ready[2], quit[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(quit), 0);
  const pid_t child = in_child([&] {
    auto store = writer();
    store->begin_or_resume(plan);
    char c = 'r';
    return write(ready[1], &c, 1) == 1 && read(quit[0], &c, 1) == 1 ? 0 : 1;
  });
  ASSERT_GE(child, 0);
  close(std::exchange(ready[1], -1));  // a child that dies early is an end of file here
  char c = 0;
  ASSERT_EQ(read(ready[0], &c, 1), 1);
  EXPECT_THAT(message_of<StoreError>([&] { writer()->begin_or_resume(plan); }),
              HasSubstr(fmt::format("process {} on", child)));
  kill(child, SIGKILL);
  // Dead is dead, reaped or not.
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(writer()->begin_or_resume(plan).resumed);
  waitpid(child, nullptr, 0);
  for (const int fd : {ready[0], quit[0], quit[1]}) close(fd);
}

TEST_F(ResumeTest, ALeaseIsStaleWhenItsProcessCannotBeAliveAnyMore) {
  const ProcessIdentity self = ProcessIdentity::self();
  EXPECT_GT(self.start_ticks, 0);
  EXPECT_EQ(examine(self, self), Liveness::alive);
  ProcessIdentity other_boot = self;
  other_boot.boot_id = "another boot";
  EXPECT_EQ(examine(other_boot, self), Liveness::gone);
  ProcessIdentity reused_pid = self;
  reused_pid.start_ticks -= 1;
  EXPECT_EQ(examine(reused_pid, self), Liveness::gone);
  ProcessIdentity other_namespace = self;
  other_namespace.pid_namespace = "pid:[1]";
  EXPECT_EQ(examine(other_namespace, self), Liveness::unknown);
  ProcessIdentity dead = self;
  const pid_t child = in_child([] { return 0; });
  waitpid(child, nullptr, 0);
  dead.pid = child;
  EXPECT_EQ(examine(dead, self), Liveness::gone);
}

TEST_F(ResumeTest, ALeaseOfAnotherNamespaceIsSettledByTheKernelLock) {
  const RunPlan plan = small_plan(2);
  { store_some(*writer(), plan, 1); }
  const ProcessIdentity self = ProcessIdentity::self();
  const auto plant = [&] {
    Sql(file_).run(
        fmt::format("INSERT INTO lease VALUES(1, 1, 1, 1, '{}', 'elsewhere', 'pid:[1]', 'then')",
                    self.boot_id));
  };
  plant();
  EXPECT_TRUE(writer()->begin_or_resume(plan).resumed) << "nobody holds the lock";
  plant();
  const pid_t child = in_child([&] {
    // Holds the lock as a process of another name space would.
    const int fd = open((file_.string() + "-lease").c_str(), O_RDWR | O_CREAT, 0644);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    if (fcntl(fd, F_SETLK, &lock) != 0) return 1;
    std::ofstream(folder_ / "held") << "yes";
    return pause();
  });
  while (!std::filesystem::exists(folder_ / "held")) usleep(1000);
  EXPECT_THAT(message_of<StoreError>([&] { writer()->begin_or_resume(plan); }),
              HasSubstr("another process is writing"));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(writer()->begin_or_resume(plan).resumed);
}

}  // namespace
}  // namespace results
