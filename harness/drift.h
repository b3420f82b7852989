// Owns what a shift does to a policy's grants: every shifted query beside the same sample as it is,
// in one run. Drift that the need does not follow is misallocation (research note adaptive-moe.md,
// section 4: excess drift).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/allocation.h"
#include "tasks/bootstrap.h"

namespace harness {

struct DriftReport {
  std::string form;
  int64_t n = 0;                  // pairs
  int64_t n_need = 0;             // of these: with a stable k on both sides in the sweep
  tasks::Estimate drift;          // k(shifted) - k(clean)
  tasks::Estimate stable;         // share of pairs with the same k
  tasks::Estimate jumps;          // share with |difference| >= 2
  tasks::Estimate need_drift;     // k_stable(shifted) - k_stable(clean), over n_need
  tasks::Estimate excess;         // drift less need_drift, over n_need
  tasks::Estimate flops_ratio;    // sum of FLOPs, shifted over clean
  tasks::Estimate accuracy;       // right(shifted) - right(clean)
  tasks::Estimate drop;           // 1 - accuracy(shifted) / accuracy(clean)
  tasks::Estimate adaptivity;     // saved of what could be: 1 - (F - F(min)) / (F(max) - F(min))
  tasks::Estimate lambda_regret;  // shifted - clean, where both needs are known at every k
  double drift_p = 1, accuracy_p = 1;        // z test of the mean by seed item; exact McNemar
  double drift_holm = 1, accuracy_holm = 1;  // over all forms of the audit
};

// One report per form, in the order in which forms first appear; queries of one task.
std::vector<DriftReport> drift_reports(const std::vector<const AuditedQuery*>&,
                                       const std::vector<int32_t>& grid, double lambda);

// Adjusts the p-values of all reports together (Holm 1979).
void adjust(std::vector<DriftReport*>);

}  // namespace harness
