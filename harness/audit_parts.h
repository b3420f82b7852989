// Owns the parts of a task's clean queries that an audit shows apart (subjects, lengths, outside
// difficulty), and which of them are served otherwise than the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "datasets/outside_labels.h"
#include "harness/allocation.h"

namespace harness {

struct AuditPart {
  std::string kind, name;  // "subject", "virology"; "length", "short"; "outside", "none right"
  int64_t n = 0;
  tasks::Estimate mean_k, accuracy, under, over, waste, lambda_regret;
  // Permutation test of the lambda-regret of its queries beside that of the task's others; adjusted
  // over all parts of the task (Benjamini, Hochberg 1995).
  double p = 1, p_bh = 1;
};

// Queries are clean ones of a task with a known need, a sample each. labels may be null.
std::vector<AuditPart> audit_parts(const std::vector<const AuditedQuery*>& clean,
                                   const std::vector<int32_t>& grid, double lambda,
                                   const datasets::OutsideLabels* labels);

// How k and need go along with the difficulty that two public models found.
struct OutsideReport {
  std::vector<std::string> models;
  std::string origin;
  int64_t n = 0, n_finite = 0;    // queries that have a label; with a stable k
  tasks::Estimate spearman_k;     // of k with the difficulty
  tasks::Estimate spearman_need;  // of k_stable with it, n_finite
};
// Nothing: no query has a label.
std::optional<OutsideReport> outside_report(const std::vector<const AuditedQuery*>& clean,
                                            const std::vector<int32_t>& grid,
                                            const datasets::OutsideLabels&);

// One sentence a part that is shown to be served worse or better, the largest differences first.
std::vector<std::string> part_findings(const std::vector<AuditPart>&,
                                       const AllocationReport& whole);

}  // namespace harness
