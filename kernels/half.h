// Owns the scalar conversions between IEEE binary16 and binary32.
#pragma once

#include <bit>
#include <cstdint>

namespace kernels {

// Exact; subnormals and NaN payloads are kept.
inline float half_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  const uint32_t exponent = h >> 10 & 31, mantissa = h & 1023;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  if (exponent == 31) {  // a NaN becomes quiet, as the hardware conversion does
    const uint32_t quiet = mantissa ? 0x400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | quiet | mantissa << 13);
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

// To the nearest, ties to even; too large becomes infinite, a NaN stays one.
inline uint16_t half_from_float(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65536 and more
  if (magnitude < 0x38800000u) {  // below the normal halves: in units of 2^-24
    const float units = std::bit_cast<float>(magnitude) * 0x1p24f;
    const auto floor = static_cast<uint32_t>(units);
    const float rest = units - static_cast<float>(floor);
    const bool up = rest > 0.5f || (rest == 0.5f && (floor & 1) != 0);
    return static_cast<uint16_t>(sign | (floor + (up ? 1 : 0)));
  }
  const uint32_t rebased = magnitude - (112u << 23), kept = rebased >> 13, rest = rebased & 8191u;
  const bool up = rest > 4096u || (rest == 4096u && (kept & 1) != 0);
  return static_cast<uint16_t>(sign | (kept + (up ? 1 : 0)));
}

}  // namespace kernels
