// Owns what a shift does to a policy's grants: every shifted query beside the same sample as it is,
// in one run. Drift that the need does not follow is misallocation (research note adaptive-moe.md,
// section 4: excess drift).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/twins.h"
#include "tasks/bootstrap.h"

namespace harness {

// Needs are those of the query asked in one way on both sides (SweepQuestion::as_is).
struct DriftReport {
  std::string form;
  int64_t n = 0;                 // pairs, both answered
  int64_t failed = 0;            // further pairs of which a side failed: wrong there, without a k
  int64_t n_need = 0;            // with a stable k on both sides
  int64_t lost = 0, gained = 0;  // of the swept pairs: no stable k any more, one only now
  tasks::Estimate drift;         // k(shifted) - k(clean)
  tasks::Estimate drift_of_need_n;  // the same over n_need
  tasks::Estimate same_k;           // share of pairs with the same k
  tasks::Estimate jumps;            // share with |difference| >= 2
  tasks::Estimate need_drift;       // k_stable(shifted) - k_stable(clean), over n_need
  tasks::Estimate excess;           // drift less need_drift, over n_need
  tasks::Estimate beside_neutral;   // k(shifted) - k(neutral edit of the same length), if it ran
  tasks::Estimate flops_ratio;      // sum of FLOPs, shifted over clean; longer prompts count
  tasks::Estimate accuracy;         // right(shifted) - right(clean), failed ones included
  int64_t to_wrong = 0, to_right = 0;
  tasks::Estimate drop;  // 1 - accuracy(shifted) / accuracy(clean)
  // Saved of what could be, 1 - (F - F(smallest k)) / (F(largest k) - F(smallest k)), and how that
  // differs from the clean queries'.
  tasks::Estimate adaptivity, adaptivity_change;
  tasks::Estimate regret_change;  // lambda-regret, shifted - clean, where both were swept
  // Sign-flip tests by sample; exact McNemar. Adjusted over all forms of the audit (Holm 1979).
  double drift_p = 1, excess_p = 1, accuracy_p = 1;
  double drift_holm = 1, excess_holm = 1, accuracy_holm = 1;
};

// One report per form.
std::vector<DriftReport> drift_reports(const std::vector<TwinsOfForm>&,
                                       const std::vector<int32_t>& grid, double lambda);

void adjust(std::vector<DriftReport*>);

}  // namespace harness
