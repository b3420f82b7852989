#include "engine/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace engine {
namespace {

constexpr int64_t kLeast = 512;  // positions that are made at once, so that short runs grow once

// Long waves are stretched by `factor`, short ones stay, those between are blended.
double llama3_frequency(double frequency, const RopeConfig& rope) {
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  const auto context = static_cast<double>(rope.original_context);
  if (wavelength < context / rope.high_freq_factor) return frequency;
  if (wavelength > context / rope.low_freq_factor) return frequency / rope.factor;
  const double smooth = (context / wavelength - rope.low_freq_factor) /
                        (static_cast<double>(rope.high_freq_factor) - rope.low_freq_factor);
  return (1.0 - smooth) * frequency / rope.factor + smooth * frequency;
}

}  // namespace

std::vector<double> rope_frequencies(const RopeConfig& rope) {
  const int64_t n = rope.d_rot / 2;
  std::vector<double> frequencies(n);
  for (int64_t i = 0; i < n; ++i) {
    double f = std::pow(static_cast<double>(rope.theta),
                        -2.0 * static_cast<double>(i) / static_cast<double>(rope.d_rot));
    if (rope.scaling == RopeScaling::linear) f /= rope.factor;
    if (rope.scaling == RopeScaling::llama3) f = llama3_frequency(f, rope);
    if (!rope.frequency_factors.empty()) f /= rope.frequency_factors[i];
    frequencies[i] = f;
  }
  return frequencies;
}

RopeTable::RopeTable(const RopeConfig& rope) : frequencies_(rope_frequencies(rope)) {}

void RopeTable::ensure(int64_t n) {
  const auto row = static_cast<int64_t>(2 * frequencies_.size());
  const int64_t have = row == 0 ? n : static_cast<int64_t>(table_.size()) / row;
  if (n <= have) return;
  n = std::max({n, have + have / 2, kLeast});
  table_.resize(n * row);
  for (int64_t p = have; p < n; ++p) {
    for (size_t i = 0; i < frequencies_.size(); ++i) {
      const double angle = static_cast<double>(p) * frequencies_[i];
      table_[p * row + 2 * i] = static_cast<float>(std::cos(angle));
      table_[p * row + 2 * i + 1] = static_cast<float>(std::sin(angle));
    }
  }
}

}  // namespace engine
