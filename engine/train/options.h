// Owns Options: how the networks are trained.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/train/objective.h"

namespace engine::train {

struct LambdaRange {
  double lower = 0.003, upper = 3;
};

struct Options {
  Head head = Head::ordinal;
  std::vector<int64_t> hidden = {64};
  double lambda = 0.1;  // price of FLOPs(k) / FLOPs(largest k)
  // One policy for every lambda of the range (drawn log-uniformly) instead of one for `lambda`.
  std::optional<LambdaRange> family;
  double mu = 0;          // price of lateness
  double entropy = 0.01;  // beta of the entropy bonus
  int epochs = 300;       // at most
  int patience = 40;      // epochs without a better held-out score
  int64_t batch = 16;
  double rate = 3e-3, decay = 1e-2;  // of Adam
  double held_out = 0.2;             // share of the clusters that early stopping looks at
  uint64_t seed = 0;
};

}  // namespace engine::train
