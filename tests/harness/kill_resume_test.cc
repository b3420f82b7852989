// A run that is killed with -9 at any moment and started again ends with the table of an
// uninterrupted run.
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
};

TEST_F(KillResumeTest, TwentyKilledRunsResumeToTheTableOfAnUninterruptedOne) {
  const auto begin = Clock::now();
  const auto whole = moeval(args(db("whole.db")));
  ASSERT_EQ(whole.code, 0) << whole.err;
  const auto run_time = Clock::now() - begin;
  const std::string expected = table(db("whole.db"));
  ASSERT_GT(std::count(expected.begin(), expected.end(), '\n'), 40);

  std::mt19937_64 random(20);
  int killed = 0, killed_with_rows = 0;
  for (int round = 0; round < 20; ++round) {
    const std::string database = db("round" + std::to_string(round) + ".db");
    const program::Child child(folder_.path(), args(database));
    const auto share = std::uniform_real_distribution<>(0.0, 1.0)(random);
    std::this_thread::sleep_for(
        std::chrono::duration_cast<std::chrono::microseconds>(run_time * share));
    child.kill();
    if (child.wait().code == 128 + SIGKILL) ++killed;
    try {
      const auto stored = stored::rows(database, "SELECT count(*) FROM attempt");
      if (stored != "0\n") ++killed_with_rows;
    } catch (const std::exception&) {  // killed before the file was whole
    }
    const auto resumed = moeval(args(database));
    ASSERT_EQ(resumed.code, 0) << "round " << round << ": " << resumed.err;
    ASSERT_EQ(table(database), expected) << "round " << round;
    const auto verify = moeval({"verify", "--db", database});
    ASSERT_EQ(verify.code, 0) << verify.out << verify.err;
  }
  // The kills must have hit something, or this test shows nothing.
  EXPECT_GE(killed, 10);
  EXPECT_GE(killed_with_rows, 3);
}

TEST_F(KillResumeTest, InterruptedRunExitsWith130AndResumes) {
  ASSERT_EQ(moeval(args(db("whole.db"))).code, 0);
  // Full-length generation on one stream gives the signal time to arrive.
  const auto slow = [&](const std::string& database) {
    return run_args(kTasks, database,
                    {"--limit", "2", "--max-new-tokens", "8", "--streams", "1", "--no-prefix-reuse",
                     "--threads", "1"});
  };
  const program::Child child(folder_.path(), slow(db("stopped.db")));
  for (int i = 0; i < 2000; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    try {
      if (stored::rows(db("stopped.db"), "SELECT count(*) FROM attempt") != "0\n") break;
    } catch (const std::exception&) {
    }
  }
  child.kill(SIGINT);
  const auto result = child.wait();
  if (result.code == 0) GTEST_SKIP() << "the run ended before the signal came";
  EXPECT_EQ(result.code, 130) << result.err;
  EXPECT_EQ(stored::rows(db("stopped.db"), "SELECT status FROM run"), "interrupted\n");
  ASSERT_EQ(moeval(slow(db("stopped.db"))).code, 0);
  EXPECT_EQ(table(db("stopped.db"), false), table(db("whole.db"), false));
}

}  // namespace
