// Owns the policies that a trained one is held against. A policy is given by its shares: [n, n_k],
// how often each query is answered at each k (one 1 a row where it does not draw).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/train/cross_fit.h"

namespace engine::train {

using Shares = std::vector<double>;

Shares shares_of(const Examples&, std::span<const size_t> choices);

// argmax_k of what is known afterwards, y_k - lambda c_k - mu lateness_k.
Shares oracle(const Examples&, double lambda, double mu);
// In each fold the one k with the largest mean reward over the fold's training rows.
Shares best_static(const Examples&, std::span<const Fold>, double lambda, double mu);
// The frequencies of k under `policy`, dealt without looking at the query.
Shares matched_random(const Examples&, std::span<const double> policy);
// Plug-in with p_k = mean success of the nearest training queries by standardised features.
inline constexpr int64_t kNeighbours = 10;
Shares nearest_neighbours(const Examples&, std::span<const Fold>, double lambda);
uint64_t nearest_neighbours_flops(const Examples&, std::span<const Fold>);  // of one decision
// The same examples with some features only.
Examples with_features(const Examples&, std::span<const int64_t> columns);

}  // namespace engine::train
