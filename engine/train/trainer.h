// Owns training: networks fitted to some rows of the examples, stopped early by clusters that are
// held out of them. A function of examples, rows and options; threads and clocks have no part.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/train/models.h"

namespace engine::train {

// P(right | query, k) by the likelihood of every k.
SuccessModel fit_success(const Examples&, std::span<const int64_t> rows, const Options&);

// pi(k | query) by the exact gradient of the mean reward: every k's outcome is known.
PolicyModel fit_policy(const Examples&, std::span<const int64_t> rows, const Options&);

// The same when only the outcome of the drawn k is seen, once an epoch for each query; costs are
// known. The baseline is V = sum_k pi_k (p_k - lambda mean cost_k) with a success model that learns
// from the same draws. Queries held out are judged by draws too.
struct Reinforced {
  PolicyModel policy;
  SuccessModel success;
};
Reinforced fit_reinforce(const Examples&, std::span<const int64_t> rows, const Options&);

}  // namespace engine::train
