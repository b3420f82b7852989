// Owns the limits of a GPU that a speed is printed beside: a dense product in the element type, and
// a copy of its memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/engine_options.h"
#include "kernels/device.h"

namespace harness {

struct LimitRates {
  double flops = 0, bytes = 0;  // a second
};

class DeviceLimits {
 public:
  // Edge of the square matrices, bytes of the copy.
  struct Sizes {
    int64_t edge = 8192;
    uint64_t copy_bytes = uint64_t{1} << 30;
  };
  // Each halved until it takes at most an eighth of what is free; not below 64 and 1 KiB.
  static Sizes fitted(Sizes, uint64_t free_bytes, engine::DeviceType);

  // device: cuda:N. Throws DeviceError.
  DeviceLimits(const std::string& device, engine::DeviceType);

  // Of the best of some repeats. The copy counts what it reads and what it writes.
  LimitRates measure();
  const Sizes& sizes() const { return sizes_; }

 private:
  double seconds_of_product() const;
  double seconds_of_copy() const;

  const std::shared_ptr<kernels::Device> device_;
  const int32_t type_;
  const Sizes sizes_;
  kernels::DeviceBuffer x_, w_, y_, from_, to_;
};

}  // namespace harness
