// Owns which experts a shift makes queries run: how far the frequencies of the routed experts move
// away from those of the same sample as it is.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "harness/twins.h"
#include "results/records.h"

namespace harness {

// sqrt of the Jensen-Shannon divergence to base 2 of two frequency vectors (Endres, Schindelin
// 2003): 0 alike, 1 without anything in common. Counts are divided by their sums, which are above
// 0.
double jensen_shannon_distance(std::span<const uint32_t>, std::span<const uint32_t>);

struct ExpertDrift {
  std::string form;
  int64_t n = 0;                   // pairs with a routed expert on both sides
  int64_t other_k = 0;             // of them: granted another k
  tasks::Estimate distance;        // mean over layers, then over pairs
  int64_t n_neutral = 0;           // pairs with a neutral edit too
  tasks::Estimate beside_neutral;  // distance less that of the neutral edit
  std::vector<double> layers;      // mean distance of each layer
};

// Tokens that ran each expert, by attempt.
using ExpertCountsOf = std::map<int64_t, results::ExpertCounts>;

// n_shared: experts that are always on, which come first; they are left out. Forms without a pair
// are left out too: no counts, or nothing to choose.
std::vector<ExpertDrift> expert_drifts(const std::vector<TwinsOfForm>&, const ExpertCountsOf&,
                                       int64_t n_shared);

}  // namespace harness
