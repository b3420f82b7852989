// Owns drawing an index at random, the same on every platform. Internal to tasks/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

namespace tasks {

// Uniform in [0, n); std::uniform_int_distribution differs between standard libraries.
inline size_t draw(std::mt19937_64& random, size_t n) {
  const uint64_t limit = UINT64_MAX - UINT64_MAX % n;
  uint64_t x = random();
  while (x >= limit) x = random();
  return x % n;
}

}  // namespace tasks
