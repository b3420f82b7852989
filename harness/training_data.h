// Owns the way from a stored sweep to examples to learn from: what each question came to at every
// k, what that cost, and the features that `run` shows a policy.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/policy/latency_cap.h"
#include "engine/policy/question_features.h"
#include "engine/train/examples.h"
#include "harness/run_plan.h"
#include "harness/sweep_report.h"
#include "results/result_store.h"

namespace harness {

struct QuestionRows {
  engine::train::Examples examples;
  std::vector<SweepQuestion> questions;  // by row of the examples
  std::vector<engine::Feature> features;
  int64_t left_out = 0;  // questions that are not graded, or not counted, at every k
};

struct TrainingData : QuestionRows {  // the clean questions
  QuestionRows shifted;               // the same seed items under a shift; nothing learns from them
  std::string run_uuid, status, model, weights_sha256;  // of the sweep
};

// The penalty of lateness: predicted time beyond a cap, in caps.
struct LatencyPenalty {
  double cap_ms = 0;
  std::string coefficients;  // file, engine/policy/latency_cap.h
};

// Throws ModelFileError, PolicyMismatch.
std::optional<engine::LatencyCoefficients> latency_coefficients(
    const std::optional<LatencyPenalty>&, const LoadedModel&);

// What the sweep was made of, to be loaded again: model (or `model`, when not empty), tasks and
// shots. Throws UsageError: no such run, no sweep.
RunSpec spec_of_sweep(const results::ResultStore&, const std::string& run_uuid,
                      const std::string& model);

// A question's success at a k is the share of its orders and wordings that were right, its cost
// their mean useful FLOPs over those of the largest k; features are those of the clean query in its
// first wording. spec: of spec_of_sweep. Throws UsageError (the sweep lacks the model's largest k,
// or has one k only; with_shifted: no graded shifted question), PolicyMismatch (it ran another
// model), FingerprintMismatch (data or task changed since), InfrastructureError (a planned k has no
// result, no question is graded at every k). Clusters of clean and shifted rows have the same
// numbers.
TrainingData read_training_data(const results::ResultStore&, const std::string& run_uuid,
                                const RunSpec& spec, const LoadedModel&,
                                const std::optional<LatencyPenalty>&, bool with_shifted = false);

}  // namespace harness
