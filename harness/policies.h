// Owns the way from what a user wrote to the policies of a run: made for the loaded model, checked
// against the plan before anything runs, and their rows.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/policy/expert_policy.h"
#include "harness/run_plan.h"
#include "harness/run_spec.h"
#include "results/records.h"

namespace harness {

using Policies = std::vector<std::shared_ptr<const engine::ExpertPolicy>>;

// What can be known before the weights are read: the model's shape against the policies, and that
// their files exist. Throws PolicyError, ModelFileError, UsageError.
void check_policies(const RunSpec&);

// One per RunPlan::policies, in order, each within the latency cap. Throws PolicyError,
// PolicyMismatch, ModelFileError.
Policies load_policies(const RunSpec&, const RunPlan&, const LoadedModel&);

// Decides ahead where a decision can fail: a table without one of the plan's queries (PolicyError
// naming it), a cap that no query fits (UsageError with both times).
void check_decisions(const RunSpec&, const RunPlan&, const LoadedModel&, const Policies&);

// "task:sample", with "@family/severity" when it is shifted: the key of tables.
std::string query_key(const RunPlan&, const PlannedAttempt&);

results::PolicyRow policy_row(const engine::ExpertPolicy&);

}  // namespace harness
