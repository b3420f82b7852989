// Owns the random draws of a shift: a stream that depends on the seed, the sample, the family and a
// stage within it, and on nothing else. Stages are shared by the severities, so that a higher one
// makes the changes of a lower one and more. Internal to tasks/.
#pragma once

#include <cstdint>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "tasks/random_draw.h"

namespace tasks::shift {

class Draws {
 public:
  Draws(uint64_t seed, std::string_view sample_id, std::string_view family, uint64_t stage)
      : random_(hash(hash(mix(mix(seed) + stage), family), sample_id)) {}

  size_t index(size_t n) { return draw(random_, n); }  // in [0, n)

  // The numbers 0 .. n-1 in random order.
  std::vector<size_t> order(size_t n) {
    std::vector<size_t> out(n);
    for (size_t i = 0; i < n; ++i) out[i] = i;
    for (size_t i = n; i > 1; --i) std::swap(out[i - 1], out[index(i)]);
    return out;
  }

 private:
  static uint64_t mix(uint64_t x) {  // SplitMix64, Steele et al. 2014
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
  }
  static uint64_t hash(uint64_t h, std::string_view text) {
    for (const char c : text) h = mix(h ^ static_cast<unsigned char>(c));
    return mix(h ^ 0x100);
  }

  std::mt19937_64 random_;
};

}  // namespace tasks::shift
