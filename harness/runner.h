// Owns the loop: plan, resume, ask, mark, store. The first file to read.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "harness/policies.h"
#include "harness/run_plan.h"
#include "harness/run_spec.h"
#include "results/result_store.h"
#include "tasks/sandbox.h"

namespace harness {

struct RunOutcome {
  std::string run_uuid;
  std::string status;  // as stored: complete, incomplete, interrupted
  bool resumed = false;
  bool was_complete = false;  // nothing was left to do
  int64_t planned = 0, done = 0, infra = 0;
  double wall_s = 0;
  std::string energy;  // one line (harness/run_energy.h); of a run on a GPU
};

// Runs what is left of the plan. Every finished attempt is committed before it counts. Exceptions
// of the engine or the store pass through after the run was marked failed (what is committed
// stays). sandbox may be null when no task runs code.
RunOutcome run(const RunSpec&, const RunPlan&, LoadedModel&, const Policies&, const Environment&,
               tasks::Sandbox*, results::ResultStore&, const std::atomic<bool>& stop);

}  // namespace harness
