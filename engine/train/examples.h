// Owns Examples: what a sweep knows about queries, as plain numbers to learn from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace engine::train {

// n queries under n_k budgets, ascending. Matrices are row-major.
struct Examples {
  int64_t n = 0, n_features = 0;
  std::vector<int32_t> grid;       // [n_k]
  std::vector<float> features;     // [n, n_features]
  std::vector<double> success;     // [n, n_k] share of right answers, 0..1
  std::vector<double> cost;        // [n, n_k] useful FLOPs / useful FLOPs of the largest k
  std::vector<double> lateness;    // [n, n_k] max(0, T - cap) / cap; empty without a cap
  std::vector<double> full_flops;  // [n] useful FLOPs of the largest k
  std::vector<int64_t> cluster;    // [n] seed item: rows of one item never part

  int64_t n_k() const { return static_cast<int64_t>(grid.size()); }
  size_t at(int64_t row, int64_t k) const { return static_cast<size_t>(row * n_k() + k); }
  std::span<const float> feature_row(int64_t row) const {
    return std::span(features).subspan(static_cast<size_t>(row * n_features),
                                       static_cast<size_t>(n_features));
  }
  // What a query is worth at a k: y - lambda c - mu lateness.
  double reward(int64_t row, int64_t k, double lambda, double mu) const {
    const size_t i = at(row, k);
    return success[i] - lambda * cost[i] - (lateness.empty() ? 0 : mu * lateness[i]);
  }
};

// [n_k] mean cost of each k over the rows.
std::vector<double> mean_cost(const Examples&, std::span<const int64_t> rows);

}  // namespace engine::train
