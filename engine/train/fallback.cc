#include "engine/train/fallback.h"

#include <algorithm>
#include <cmath>

#include "engine/train/models.h"

namespace engine::train {

const char* fallback_name(Fallback f) {
  static constexpr const char* kNames[] = {"none", "full", "fixed", "shrink", "cap"};
  return kNames[static_cast<int>(f)];
}

size_t decide(Fallback fallback, const Prospect& q, double lambda) {
  if (!q.flagged() || fallback == Fallback::none) return plug_in(q.p, q.cost, lambda);
  switch (fallback) {
    case Fallback::none:
      break;
    case Fallback::full:
      return q.p.size() - 1;
    case Fallback::fixed:
      return q.fixed;
    case Fallback::cap:
      return std::min(q.fixed, plug_in(q.p, q.cost, lambda));
    case Fallback::shrink: {
      const double away = 1 - q.threshold / q.score;
      std::vector<double> mixed(q.p.size());
      for (size_t k = 0; k < mixed.size(); ++k) mixed[k] = (1 - away) * q.p[k] + away * q.prior[k];
      return plug_in(mixed, q.cost, lambda);
    }
  }
  return plug_in(q.p, q.cost, lambda);
}

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
