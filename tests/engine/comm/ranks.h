// Owns groups of ranks for tests: one rank alone, or threads; and what each rank threw.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "engine/comm/self.h"
#include "engine/comm/threads.h"

namespace ranks {

class Group {
 public:
  // One rank is SelfCommunicator.
  explicit Group(int n, std::chrono::milliseconds deadline = std::chrono::minutes(5)) : size_(n) {
    if (n > 1) threads_ = std::make_unique<engine::ThreadsGroup>(n, deadline);
  }
  int size() const { return size_; }
  engine::Communicator& rank(int r) { return threads_ ? threads_->rank(r) : self_; }

  // body(rank) on a thread each; what they threw, by rank.
  std::vector<std::exception_ptr> run(const std::function<void(int)>& body) const {
    std::vector<std::exception_ptr> errors(static_cast<size_t>(size_));
    std::vector<std::thread> threads;
    for (int r = 0; r < size_; ++r) {
      threads.emplace_back([&, r] {
        try {
          body(r);
        } catch (...) {
          errors[r] = std::current_exception();
        }
      });
    }
    for (std::thread& t : threads) t.join();
    return errors;
  }
  // As run, and rethrows the first error.
  void run_all(const std::function<void(int)>& body) const {
    for (const std::exception_ptr& e : run(body)) {
      if (e) std::rethrow_exception(e);
    }
  }

 private:
  int size_;
  engine::SelfCommunicator self_;
  std::unique_ptr<engine::ThreadsGroup> threads_;
};

}  // namespace ranks
