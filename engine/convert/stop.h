// Owns Stop: the wish to end a conversion, looked at between chunks of its work.
#pragma once

#include <atomic>

namespace engine::convert {

// Thrown out of the work on a layer, which is lost; caught where layers are planned.
struct Stopped {};

class Stop {
 public:
  Stop() = default;  // never
  // The flag must outlive this.
  explicit Stop(const std::atomic<bool>& flag) : flag_(&flag) {}

  void check() const {
    if (flag_ != nullptr && flag_->load(std::memory_order_relaxed)) throw Stopped{};
  }

 private:
  const std::atomic<bool>* flag_ = nullptr;
};

}  // namespace engine::convert
