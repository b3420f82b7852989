#include "kernels/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace kernels {

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}
namespace {

// About 20 microseconds: longer than the gap between two ops of a forward pass, short enough that a
// thread whose core was taken away does not hold the others up by burning theirs.
constexpr int kSpins = 1000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

struct ThreadPool::Impl {
  // task, n_tasks and error may be read by a thread that holds a claimed task: the caller does not
  // touch them again before `unfinished` is 0.
  const FunctionRef<void(int64_t, int)>* task = nullptr;
  int64_t n_tasks = 0;
  std::atomic<int64_t> unclaimed{0}, unfinished{0};
  std::atomic<int> sleepers{0};
  std::atomic<bool> caller_sleeps{false}, stop{false};
  std::mutex mutex;
  std::condition_variable work, done;
  std::exception_ptr error;  // the first one, under mutex
  std::vector<std::thread> threads;

  void run_one(int64_t index, int thread) {
    try {
      (*task)(index, thread);
    } catch (...) {
      std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  }

  // Claims and runs tasks until none is left.
  void drain(int thread) {
    int64_t left = unclaimed.load();
    while (left > 0) {
      if (!unclaimed.compare_exchange_weak(left, left - 1)) continue;
      run_one(n_tasks - left, thread);
      if (unfinished.fetch_sub(1) == 1 && caller_sleeps.load()) {
        std::lock_guard lock(mutex);
        done.notify_one();
      }
      left = unclaimed.load();
    }
  }

  void worker(int thread) {
    while (!stop.load()) {
      drain(thread);
      for (int i = 0; i < kSpins && unclaimed.load(std::memory_order_relaxed) == 0; ++i) pause();
      if (unclaimed.load() > 0) continue;
      std::unique_lock lock(mutex);
      sleepers.fetch_add(1);
      work.wait(lock, [this] { return unclaimed.load() > 0 || stop.load(); });
      sleepers.fetch_sub(1);
    }
  }

  void wait_until_done() {
    for (int i = 0; i < kSpins && unfinished.load() > 0; ++i) pause();
    if (unfinished.load() == 0) return;
    std::unique_lock lock(mutex);
    caller_sleeps.store(true);
    done.wait(lock, [this] { return unfinished.load() == 0; });
    caller_sleeps.store(false);
  }
};

ThreadPool::ThreadPool(int n_threads) : impl_(std::make_unique<Impl>()) {
  assert(n_threads >= 1);
  for (int i = 1; i < n_threads; ++i) {
    impl_->threads.emplace_back([impl = impl_.get(), i] { impl->worker(i); });
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stop.store(true);
  }
  impl_->work.notify_all();
  for (std::thread& t : impl_->threads) t.join();
}

int ThreadPool::size() const { return static_cast<int>(impl_->threads.size()) + 1; }

void ThreadPool::parallel_for(int64_t n_tasks, FunctionRef<void(int64_t, int)> task) {
  if (n_tasks <= 0) return;
  Impl& p = *impl_;
  assert(p.unfinished.load() == 0 && "parallel_for is not re-entrant");
  p.task = &task;
  p.n_tasks = n_tasks;
  if (n_tasks == 1 || p.threads.empty()) {
    for (int64_t i = 0; i < n_tasks; ++i) p.run_one(i, 0);
  } else {
    p.unfinished.store(n_tasks);
    p.unclaimed.store(n_tasks);
    if (p.sleepers.load() > 0) {
      { std::lock_guard lock(p.mutex); }  // no worker is between its check and its wait
      p.work.notify_all();
    }
    p.drain(0);
    p.wait_until_done();
  }
  if (p.error) std::rethrow_exception(std::exchange(p.error, nullptr));
}

}  // namespace kernels
