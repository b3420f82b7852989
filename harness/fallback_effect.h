// Owns what a policy's fallback did: how many queries of each form it decided, and what they came
// to beside what the policy's rule alone would have granted them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/allocation.h"

namespace harness {

struct FallbackEffect {
  std::string form;            // "clean", "typos:2"
  int64_t n = 0, flagged = 0;  // queries with a score; above the threshold
  int64_t compared = 0;        // flagged ones of which the sweep knows both k
  int64_t seed_items = 0;      // of these
  // Of the compared ones, by the sweep's answers at both k; intervals by seed item.
  tasks::Estimate k, k_without, accuracy, accuracy_without;
  tasks::Estimate regret, regret_without;  // best reward less the granted one's
  tasks::Estimate regret_saved;            // above 0: the fallback is better
};

// By form, clean first. Empty: no query has a score. A latency cap holds with and without.
std::vector<FallbackEffect> fallback_effects(const std::vector<const AuditedQuery*>&,
                                             const std::vector<int32_t>& grid, double lambda);

}  // namespace harness
