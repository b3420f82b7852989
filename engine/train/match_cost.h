// Owns the price at which a policy spends a wanted cost.
#pragma once

#include <functional>
#include <optional>

namespace engine::train {

// The lambda of [1e-6, 1e3] at which spend(lambda), which falls as lambda rises, comes nearest to
// `target` from below, by 60 bisections of its logarithm. Nothing when not even the largest does.
// cheaper: even the smallest stays below.
struct Matched {
  double lambda = 0, cost = 0;
  bool cheaper = false;
};
std::optional<Matched> match_cost(double target, const std::function<double(double)>& spend);

}  // namespace engine::train
