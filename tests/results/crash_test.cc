// kill -9 at random moments: every acknowledged row is there, and the run can be continued.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "tests/results/store_fixture.h"

namespace results {
namespace {

using testing::IsEmpty;
using CrashTest = StoreTest;

constexpr int kRounds = 20, kShare = 20, kRows = kRounds * kShare;

// Continues the run, writes each ordinal to `acknowledge` after its commit, and waits to be killed
// when it has made its share: however fast the machine, no round finds the work done.
int work(const std::filesystem::path& file, const RunPlan& plan, int acknowledge) {
  auto store = ResultStore::open(file, ResultStore::Mode::write);
  const RunStart start = store->begin_or_resume(plan);
  for (int32_t i = 0, made = 0; i < kRows && made < kShare; ++i) {
    if (start.states[static_cast<size_t>(i)].done) continue;
    ++made;
    store->append(bundle_for(plan, i, i % 3 != 0), [acknowledge, i] {
      if (write(acknowledge, &i, sizeof i) != sizeof i) _exit(2);
    });
  }
  for (;;) pause();
}

TEST_F(CrashTest, NoAcknowledgedRowIsLostInTwentyKills) {
  const RunPlan plan = small_plan(kRows);
  std::vector<bool> acknowledged(kRows, false);
  std::mt19937 random(20261123);
  int killed = 0;
  for (int round = 0; round < kRounds; ++round) {
    int pipe_fd[2];
    ASSERT_EQ(pipe(pipe_fd), 0);
    const pid_t child = in_child([&] {
      close(pipe_fd[0]);
      return work(file_, plan, pipe_fd[1]);
    });
    ASSERT_GE(child, 0);
    close(pipe_fd[1]);
    // The moment is drawn in acknowledgements and then in microseconds, so that it falls inside
    // the work on any machine; the first rounds die while the file is being made.
    const int rows_first = round < 4 ? 0 : std::uniform_int_distribution<int>(1, 15)(random);
    int32_t ordinal = 0;
    int seen = 0;
    while (seen < rows_first && read(pipe_fd[0], &ordinal, sizeof ordinal) == sizeof ordinal) {
      acknowledged[static_cast<size_t>(ordinal)] = true;
      ++seen;
    }
    usleep(std::uniform_int_distribution<useconds_t>(0, round < 4 ? 20000 : 1000)(random));
    kill(child, SIGKILL);
    while (read(pipe_fd[0], &ordinal, sizeof ordinal) == sizeof ordinal)
      acknowledged[static_cast<size_t>(ordinal)] = true;
    close(pipe_fd[0]);
    int status = 0;
    waitpid(child, &status, 0);
    killed += WIFSIGNALED(status) ? 1 : 0;
    if (!std::filesystem::exists(file_)) continue;
    auto store = reader();
    EXPECT_THAT(store->verify().problems, IsEmpty()) << "round " << round;
    Sql sql(file_);
    std::vector<bool> stored(kRows, false);
    for (const std::string& o : sql.rows("SELECT ordinal FROM attempt"))
      stored[static_cast<size_t>(std::stoi(o))] = true;
    for (size_t i = 0; i < kRows; ++i)
      EXPECT_TRUE(stored[i] || !acknowledged[i]) << "round " << round << " lost row " << i;
    EXPECT_EQ(sql.one("SELECT COUNT(*) FROM attempt WHERE attempt_id NOT IN "
                      "(SELECT attempt_id FROM verdict)"),
              "0")
        << "an attempt is stored with all its rows or not at all";
  }
  EXPECT_EQ(killed, kRounds);
  auto store = writer();
  const RunStart start = store->begin_or_resume(plan);
  for (int i = 0; i < kRows; ++i) {
    if (!start.states[static_cast<size_t>(i)].done) store->append(bundle_for(plan, i, i % 3 != 0));
  }
  EXPECT_EQ(store->finish("complete"), "complete");
  Sql sql(file_);
  EXPECT_EQ(sql.one("SELECT COUNT(*) FROM run"), "1");
  EXPECT_EQ(sql.one("SELECT n, n_correct FROM v_leaderboard"), "400|266");
}

}  // namespace
}  // namespace results
