// Owns the robustness metrics of ReCode (Wang et al. 2022): the worst answer over the draws of one
// perturbation, beside the answer to the problem as it is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/allocation.h"
#include "tasks/bootstrap.h"

namespace harness {

// Of the problems that the perturbation changes in at least one of the draws that ran, each with
// the forms it has: an unchanged problem says nothing. One greedy answer each, so k of pass@k is 1.
// Intervals are bootstraps over problems.
struct RobustReport {
  std::string method;        // "ButterFingersPerturbation"
  int64_t draws = 0;         // that ran
  int64_t n = 0;             // problems
  int64_t forms = 0;         // of them all
  tasks::Estimate nominal;   // right as it is
  tasks::Estimate pass;      // RP_s: right in every form
  tasks::Estimate drop;      // RD_s: 1 - pass / nominal
  tasks::Estimate relative;  // RR_s: some form is answered otherwise, for better or worse
};

// Of the queries of one task, by the method's name. Failed ones are wrong.
std::vector<RobustReport> robust_reports(const std::vector<const AuditedQuery*>&);

}  // namespace harness
