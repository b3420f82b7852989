// A run that is killed with -9 at any moment and started again ends with the table of an
// uninterrupted run.
#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "tests/harness/run_fixture.h"

namespace {

using Clock = std::chrono::steady_clock;

class KillResumeTest : public RunTest {
 protected:
  static constexpr const char* kTasks = "mmlu_cloze,mmlu,humaneval";
  std::vector<std::string> args(const std::string& database) const {
    return run_args(kTasks, database, {"--limit", "2", "--max-new-tokens", "8", "--streams", "4"});
  }
  // One prompt at a time gives a signal time to arrive.
  std::vector<std::string> slow_args(const std::string& database) const {
    return run_args(kTasks, database,
                    {"--limit", "2", "--max-new-tokens", "8", "--streams", "1", "--no-prefix-reuse",
                     "--threads", "1"});
  }
  static bool has_rows(const std::string& database) {
    try {
      return stored::rows(database, "SELECT count(*) FROM attempt") != "0\n";
    } catch (const std::exception&) {  // the file is not whole yet
      return false;
    }
  }
  // Returns once a first row is stored, or after ten seconds.
  static void wait_for_rows(const std::string& database) {
    for (int i = 0; i < 2000 && !has_rows(database); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
};

TEST_F(KillResumeTest, TwentyKilledRunsResumeToTheTableOfAnUninterruptedOne) {
  const auto begin = Clock::now();
  const auto whole = moeval(args(db("whole.db")));
  ASSERT_EQ(whole.code, 0) << whole.err;
  const auto run_time = Clock::now() - begin;
  ASSERT_GT(std::ranges::count(table(db("whole.db")), '\n'), 40);

  std::mt19937_64 random(20);
  int killed = 0, killed_with_rows = 0;
  for (int round = 0; round < 20; ++round) {
    const std::string database = db("round" + std::to_string(round) + ".db");
    // At any moment of a usual run, or, whatever the machine's speed, after a first row of a slow
    // one.
    const bool any_moment = round % 2 == 0;
    const auto command = any_moment ? args(database) : slow_args(database);
    const program::Child child(folder_.path(), command);
    if (any_moment) {
      const auto share = std::uniform_real_distribution<>(0.0, 1.0)(random);
      std::this_thread::sleep_for(
          std::chrono::duration_cast<std::chrono::microseconds>(run_time * share));
    } else {
      wait_for_rows(database);
    }
    child.kill();
    if (child.wait().code == 128 + SIGKILL) ++killed;
    if (has_rows(database)) ++killed_with_rows;
    const auto resumed = moeval(command);
    ASSERT_EQ(resumed.code, 0) << "round " << round << ": " << resumed.err;
    ASSERT_EQ(table(database, any_moment), table(db("whole.db"), any_moment)) << "round " << round;
    const auto verify = moeval({"verify", "--db", database});
    ASSERT_EQ(verify.code, 0) << verify.out << verify.err;
  }
  // The kills must have hit something, or this test shows nothing.
  EXPECT_GE(killed, 5);
  EXPECT_GE(killed_with_rows, 5);
}

TEST_F(KillResumeTest, InterruptedRunExitsWith130AndResumes) {
  ASSERT_EQ(moeval(args(db("whole.db"))).code, 0);
  const program::Child child(folder_.path(), slow_args(db("stopped.db")));
  wait_for_rows(db("stopped.db"));
  child.kill(SIGINT);
  const auto result = child.wait();
  if (result.code == 0) GTEST_SKIP() << "the run ended before the signal came";
  EXPECT_EQ(result.code, 130) << result.err;
  EXPECT_EQ(stored::rows(db("stopped.db"), "SELECT status FROM run"), "interrupted\n");
  ASSERT_EQ(moeval(slow_args(db("stopped.db"))).code, 0);
  EXPECT_EQ(table(db("stopped.db"), false), table(db("whole.db"), false));
}

}  // namespace
