// Owns how good a policy's predictions are: whether they order the needs, and whether the stated
// probabilities are what happens (research note adaptive-moe.md, section 4).
#pragma once

#include <cstdint>
#include <vector>

#include "harness/allocation.h"
#include "tasks/calibration.h"

namespace harness {

// How well the predicted complexity (without one: k) orders the needs, and how well p_k is
// calibrated. Intervals are bootstraps over seed items.
struct PredictionReport {
  int64_t n = 0, n_finite = 0;
  bool by_complexity = false;
  tasks::Estimate spearman, kendall;  // with k_stable, `never` and `inverse` above the largest k
  tasks::Estimate spearman_finite;    // questions with a stable k only
  // Of p_k beside the share of ways that were right at k. Reliability bins are of equal mass.
  struct Calibration {
    int64_t n = 0;  // pairs of p_k and outcome
    tasks::Estimate brier;
    tasks::Estimate ece;  // without an interval where resampling moved it away from its value
    std::vector<tasks::ReliabilityBin> reliability;
  };
  struct OfK {
    int32_t k = 0;
    tasks::Estimate auroc;  // of failing at k: by 1 - p_k, else by complexity or k
    Calibration calibration;
  };
  std::vector<OfK> by_k;
  Calibration pooled;  // over all k of the grid
};
PredictionReport prediction_report(const std::vector<const AuditedQuery*>&,
                                   const std::vector<int32_t>& grid);

}  // namespace harness
