// Owns the dry run: what a run would do, cost and take, from the real prompts, without running it.
#pragma once

#include "harness/commands.h"
#include "harness/policies.h"
#include "harness/run_plan.h"

namespace harness {

void print_dry_run(const RunOptions&, const RunPlan&, LoadedModel&, const Policies&);

}  // namespace harness
