// Owns Random: draws that are the same on every platform.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <utility>

namespace engine::train {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }  // [0, 1)
  // Of [0, n), each alike to within n / 2^64.
  uint64_t below(uint64_t n) { return engine_() % n; }
  template <class T>
  void shuffle(std::span<T> v) {
    for (size_t i = v.size(); i > 1; --i) std::swap(v[i - 1], v[below(i)]);
  }
  // An index with probability proportional to its weight.
  size_t draw(std::span<const double> weights) {
    double sum = 0;
    for (const double w : weights) sum += w;
    double left = uniform() * sum;
    size_t last = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] <= 0) continue;
      last = i;
      if (left < weights[i]) break;
      left -= weights[i];
    }
    return last;
  }

 private:
  std::mt19937_64 engine_;
};

// A seed of its own for each use of one seed (SplitMix64, Steele et al. 2014).
inline uint64_t derived_seed(uint64_t seed, uint64_t use) {
  uint64_t x = seed + (use + 1) * 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

}  // namespace engine::train
