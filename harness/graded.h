// Owns graded outcomes: how probable the right answer was, in nats, where right and wrong are too
// coarse (a small model's right answers are often luck).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/twins.h"

namespace harness {

// Gold NLL: -log P of the right option or of the reference solution.
struct GradedReport {
  int64_t n = 0;           // queries with a gold NLL here and, asked as it is, at the largest k
  tasks::Estimate nll;     // at what was granted
  tasks::Estimate regret;  // that less the gold NLL at the largest k of the sweep
};
GradedReport graded_report(const std::vector<const AuditedQuery*>&,
                           const std::vector<int32_t>& grid);

struct GradedDrift {
  std::string form;
  int64_t n = 0;                  // pairs with a gold NLL on both sides
  tasks::Estimate nll_change;     // shifted less clean, at what was granted
  double p = 1, p_holm = 1;       // sign-flip by sample; over all forms of the audit (Holm 1979)
  int64_t n_swept = 0;            // of them: both known at the largest k
  tasks::Estimate regret_change;  // of GradedReport::regret, shifted less clean
};
std::vector<GradedDrift> graded_drifts(const std::vector<TwinsOfForm>&,
                                       const std::vector<int32_t>& grid);
void adjust(std::vector<GradedDrift*>);

}  // namespace harness
