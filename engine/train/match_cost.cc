#include "engine/train/match_cost.h"

#include <cmath>

namespace engine::train {

std::optional<Matched> match_cost(double target, const std::function<double(double)>& spend) {
  double dear = 1e-6, cheap = 1e3;
  if (const double cost = spend(dear); cost <= target) return Matched{dear, cost, cost < target};
  if (spend(cheap) > target) return std::nullopt;
  for (int i = 0; i < 60; ++i) {
    const double middle = std::sqrt(dear * cheap);
    (spend(middle) <= target ? cheap : dear) = middle;
  }
  return Matched{cheap, spend(cheap), false};
}

}  // namespace engine::train
