// Owns the choice of what an audit reads: a policy's run, and the sweep that it is held against.
#pragma once

#include <string>

#include "harness/compare.h"
#include "harness/exit_code.h"
#include "results/result_store.h"

namespace harness {

class NoSweep : public UsageError {
 public:
  using UsageError::UsageError;
};

// The newest run of a policy. Throws UsageError: there is none.
std::string newest_policy_run(const results::ResultStore&);

// Of the complete sweeps of the same weights and gate norm the one that knows most of the run's
// queries, of several the newest. Throws NoSweep: none knows any.
std::string best_sweep(const results::ResultStore&, const ComparedRun&);

// Throws FingerprintMismatch: the sweep is of other weights, or of another gate norm.
void check_comparable(const ComparedRun&, const results::RunInfo& sweep);

}  // namespace harness
