#include "kernels/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

TEST(ThreadPool, RunsEveryTaskExactlyOnceOnAKnownThread) {
  for (int threads : {1, 2, 3, 8}) {
    kernels::ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (int64_t n : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(n));
      std::atomic<bool> thread_known{true};
      pool.parallel_for(n, [&](int64_t i, int thread) {
        ++runs[static_cast<size_t>(i)];
        if (thread < 0 || thread >= threads) thread_known = false;
      });
      for (const auto& r : runs) ASSERT_EQ(r.load(), 1);
      EXPECT_TRUE(thread_known.load());
    }
  }
}

// Neighbouring calls differ in length and task: a worker late from one must not run the next's.
TEST(ThreadPool, KeepsManyShortCallsApart) {
  kernels::ThreadPool pool(4);
  for (int call = 0; call < 3000; ++call) {
    std::atomic<int64_t> sum{0};
    const int64_t n = 1 + call % 9;
    pool.parallel_for(n, [&sum, call](int64_t i, int) { sum += call * 100 + i; });
    ASSERT_EQ(sum.load(), n * call * 100 + n * (n - 1) / 2) << call;
  }
}

TEST(ThreadPool, WakesWorkersThatWentToSleep) {
  kernels::ThreadPool pool(3);
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> runs{0};
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    pool.parallel_for(50, [&](int64_t, int) { ++runs; });
    EXPECT_EQ(runs.load(), 50);
  }
}

TEST(ThreadPool, RethrowsATasksExceptionAfterAllTasksEnded) {
  for (int threads : {1, 3}) {
    kernels::ThreadPool pool(threads);
    std::atomic<int> runs{0};
    EXPECT_THROW(pool.parallel_for(20,
                                   [&](int64_t i, int) {
                                     ++runs;
                                     if (i == 3) throw std::runtime_error("task 3");
                                   }),
                 std::runtime_error);
    EXPECT_EQ(runs.load(), 20);
    pool.parallel_for(5, [&](int64_t, int) { ++runs; });  // still usable, the error gone
    EXPECT_EQ(runs.load(), 25);
  }
}

}  // namespace
