// Owns the way from a predictor's file to a policy of a loaded model.
#pragma once

#include <memory>
#include <string>

#include "engine/policy/predictor_policy.h"
#include "harness/run_plan.h"

namespace harness {

// The model must outlive the policy. Throws ModelFileError, PolicyMismatch.
std::shared_ptr<const engine::PredictorPolicy> load_predictor(const std::string& file,
                                                              const LoadedModel& model);

}  // namespace harness
