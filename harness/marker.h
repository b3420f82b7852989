// Owns Marker: a thread that scores finished attempts and hands them to the store, so that marking
// generated code does not hold up the engine.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace harness {

// Runs jobs in the order given on one thread. The first exception stops it: later jobs are dropped,
// and submit() and finish() throw it.
class Marker {
 public:
  explicit Marker(size_t capacity = 256);
  ~Marker();
  Marker(const Marker&) = delete;
  Marker& operator=(const Marker&) = delete;

  void submit(std::function<void()> job);  // blocks while the queue is full
  void finish();                           // returns when all jobs ran

 private:
  void work();
  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool closing_ = false, busy_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace harness
