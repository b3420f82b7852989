// Owns the plug-in rule: of some k the one with the largest estimated success less its price.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace engine {

// Index of the first of the largest: ties go to the smaller k.
inline size_t argmax(std::span<const double> v) {
  return static_cast<size_t>(std::max_element(v.begin(), v.end()) - v.begin());
}

// argmax p_k - lambda cost_k.
inline size_t plug_in(std::span<const double> p, std::span<const double> cost, double lambda) {
  std::vector<double> value(p.size());
  for (size_t k = 0; k < p.size(); ++k) value[k] = p[k] - lambda * cost[k];
  return argmax(value);
}

}  // namespace engine
