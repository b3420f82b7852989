// Owns the one pool of worker threads that ops run on, and the count of the work launched on it.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cost.h"
#include "kernels/function_ref.h"

namespace kernels {

// Cores that this process may use.
int usable_cores();

enum class OpKind : uint8_t { matmul, attention };

// parallel_for hands out tasks 0..n_tasks-1 through an atomic counter; the caller takes part. Which
// thread runs a task never changes a result. Not re-entrant: one caller at a time. An exception
// thrown by a task is rethrown in the caller after all tasks ended.
class ThreadPool {
 public:
  explicit ThreadPool(int n_threads);  // n_threads >= 1, caller included
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;
  // task(index, thread) with thread in 0..size()-1.
  void parallel_for(int64_t n_tasks, FunctionRef<void(int64_t, int)> task);

  // Sum of the costs of the op calls made on this pool since it was made or since the caller last
  // set it. Each op adds its own cost function once per call: an account that does not pass through
  // the engine's ledger, so that the two can be held against each other.
  Cost& launched(OpKind kind) { return launched_[static_cast<int>(kind)]; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  Cost launched_[2];
};

}  // namespace kernels
