// Owns the element types of device memory on the host: f16 and bf16 as bits, values as float, one
// rounding from double.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <string>

#include "kernels/device_table.h"
#include "kernels/half.h"
#include "tests/support/reference_device/memory.h"

namespace reference_device {

struct Half {
  uint16_t bits;
};
struct Bfloat16 {
  uint16_t bits;
};

inline float value_of(float v) { return v; }
inline float value_of(Half v) { return kernels::half_to_float(v.bits); }
inline float value_of(Bfloat16 v) {
  return std::bit_cast<float>(static_cast<uint32_t>(v.bits) << 16);
}

// v as a float whose last bit is set if anything was cut off: rounding that to a shorter type gives
// what rounding v to it would have given.
inline float rounded_to_odd(double v) {
  auto f = static_cast<float>(v);
  if (std::isnan(v) || static_cast<double>(f) == v) return f;
  if (std::abs(static_cast<double>(f)) > std::abs(v)) f = std::nextafter(f, 0.0f);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(f) | 1u);
}

// To the nearest, ties to even.
inline void store(double v, float& to) { to = static_cast<float>(v); }
inline void store(double v, Half& to) { to.bits = kernels::half_from_float(rounded_to_odd(v)); }
inline void store(double v, Bfloat16& to) {
  const auto bits = std::bit_cast<uint32_t>(rounded_to_odd(v));
  const uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1);
  to.bits = static_cast<uint16_t>(std::isnan(v) ? bits >> 16 | 0x40u : rounded >> 16);
}

// Calls f with a value of the element type: with_type(type, [&](auto zero) { using T = ...; }).
template <class F>
void with_type(int32_t type, F&& f) {
  switch (type) {
    case kDeviceF32:
      return f(float{});
    case kDeviceF16:
      return f(Half{});
    case kDeviceBf16:
      return f(Bfloat16{});
    default:
      throw DeviceError("element type " + std::to_string(type) + " is none of f32, f16, bf16");
  }
}

inline double silu(double v) { return v / (1.0 + std::exp(-v)); }

}  // namespace reference_device
