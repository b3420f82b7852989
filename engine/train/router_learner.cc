#include "engine/train/router_learner.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace engine::train {
namespace {

constexpr double kLeastSquare = 1e-4;  // of a dimension that is as good as never on

}  // namespace

std::vector<double> draw_gradient(std::span<const float> scores, std::span<const int16_t> order,
                                  double temperature) {
  const size_t n = scores.size();
  std::vector<double> weight(n), out(n);
  std::vector<bool> gone(n);
  for (const int16_t chosen : order) {
    double most = -std::numeric_limits<double>::infinity(), left = 0;
    for (size_t e = 0; e < n; ++e)
      if (!gone[e]) most = std::max(most, static_cast<double>(scores[e]));
    for (size_t e = 0; e < n; ++e) {
      if (gone[e]) continue;
      weight[e] = std::exp((static_cast<double>(scores[e]) - most) / temperature);
      left += weight[e];
    }
    for (size_t e = 0; e < n; ++e)
      if (!gone[e]) out[e] -= weight[e] / left;
    const auto c = static_cast<size_t>(chosen);
    assert(c < n && !gone[c]);
    out[c] += 1;
    gone[c] = true;
  }
  return out;
}

RouterLearner::RouterLearner(RouterExploration& exploration, int32_t n_layers, int64_t n_routed,
                             int64_t d_model, double rate)
    : exploration_(exploration),
      n_routed_(n_routed),
      d_model_(d_model),
      rate_(rate),
      layers_(static_cast<size_t>(n_layers)) {
  for (LayerState& l : layers_) {
    l.gradient.resize(static_cast<size_t>(n_routed * d_model));
    l.mean_square.resize(static_cast<size_t>(d_model));
  }
}

void RouterLearner::add(std::span<const RouterExploration::Choice> choices, double advantage) {
  const auto finite = [](float v) { return std::isfinite(v); };
  for (const auto& c : choices) {
    // A row that the model itself cannot route teaches nothing.
    if (!std::all_of(c.scores.begin(), c.scores.end(), finite) ||
        !std::all_of(c.x.begin(), c.x.end(), finite))
      continue;
    LayerState& l = layers_.at(static_cast<size_t>(c.layer));
    ++l.rows;
    ++l.all_rows;
    const double share = 1 / static_cast<double>(l.all_rows);
    for (size_t i = 0; i < c.x.size(); ++i) {
      const auto x = static_cast<double>(c.x[i]);
      l.mean_square[i] += (x * x - l.mean_square[i]) * share;
    }
    const auto by_score = draw_gradient(c.scores, c.order, exploration_.temperature());
    for (int64_t e = 0; e < n_routed_; ++e) {
      const double g = advantage * by_score[static_cast<size_t>(e)];
      double* row = l.gradient.data() + e * d_model_;
      for (int64_t i = 0; i < d_model_; ++i)
        row[i] += g * static_cast<double>(c.x[static_cast<size_t>(i)]);
    }
  }
}

void RouterLearner::step() {
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    LayerState& l = layers_[layer];
    if (l.rows == 0) continue;
    const auto learned = exploration_.learned(static_cast<int32_t>(layer));
    for (int64_t e = 0; e < n_routed_; ++e)
      for (int64_t i = 0; i < d_model_; ++i) {
        const auto at = static_cast<size_t>(e * d_model_ + i);
        const double scale = std::max(l.mean_square[static_cast<size_t>(i)], kLeastSquare);
        learned[at] += static_cast<float>(rate_ * exploration_.temperature() * l.gradient[at] /
                                          (static_cast<double>(l.rows) * scale));
      }
    std::fill(l.gradient.begin(), l.gradient.end(), 0.0);
    l.rows = 0;
  }
}

}  // namespace engine::train
