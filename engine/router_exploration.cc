#include "engine/router_exploration.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace engine {
namespace {

// SplitMix64 (Steele et al. 2014), then a number in (0, 1).
double next_uniform(uint64_t& state) {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return (static_cast<double>((z ^ (z >> 31)) >> 11) + 0.5) * 0x1.0p-53;
}

}  // namespace

RouterExploration::RouterExploration(int32_t n_layers, int64_t n_routed, int64_t d_model,
                                     double temperature)
    : n_routed_(n_routed),
      d_model_(d_model),
      temperature_(temperature),
      learned_(static_cast<size_t>(n_layers),
               std::vector<float>(static_cast<size_t>(n_routed * d_model))) {}

std::span<float> RouterExploration::learned(int32_t layer) {
  return learned_.at(static_cast<size_t>(layer));
}

std::span<const float> RouterExploration::learned(int32_t layer) const {
  return learned_.at(static_cast<size_t>(layer));
}

void RouterExploration::begin_drawing(uint64_t seed) {
  drawing_ = true;
  noise_ = seed;
  choices_.clear();
}

void RouterExploration::add_learned(int32_t layer, const float* x, int64_t m, float* scores) const {
  const auto w = learned(layer);
  for (int64_t r = 0; r < m; ++r)
    for (int64_t e = 0; e < n_routed_; ++e) {
      const float* row = w.data() + e * d_model_;
      double sum = 0;
      for (int64_t i = 0; i < d_model_; ++i)
        sum += static_cast<double>(row[i]) * static_cast<double>(x[r * d_model_ + i]);
      scores[r * n_routed_ + e] += static_cast<float>(sum);
    }
}

const float* RouterExploration::draw(int32_t layer, const float* x, int64_t m, const float* scores,
                                     std::span<const int32_t> k) {
  assert(k.size() == static_cast<size_t>(m));
  noisy_.assign(scores, scores + m * n_routed_);
  std::vector<int16_t> order(static_cast<size_t>(n_routed_));
  for (int64_t r = 0; r < m; ++r) {
    float* row = noisy_.data() + r * n_routed_;
    for (int64_t e = 0; e < n_routed_; ++e)
      row[e] += static_cast<float>(-temperature_ * std::log(-std::log(next_uniform(noise_))));
    const int64_t drawn = k[static_cast<size_t>(r)];
    if (drawn >= n_routed_) continue;
    // As the choice orders them: by falling score, among equals by id.
    std::iota(order.begin(), order.end(), int16_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [row](int16_t a, int16_t b) { return row[a] > row[b]; });
    Choice& c = choices_.emplace_back();
    c.layer = layer;
    c.x.assign(x + r * d_model_, x + (r + 1) * d_model_);
    c.scores.assign(scores + r * n_routed_, scores + (r + 1) * n_routed_);
    c.order.assign(order.begin(), order.begin() + drawn);
  }
  return noisy_.data();
}

}  // namespace engine
