// Owns what a trained predictor tells about its training: which questions it saw, and the budget it
// was given. Written into the predictor's file, kept with the runs of its policy.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "harness/sweep_report.h"

namespace harness {

// A short name of a question, 48 bits of the sha256 of its sample's id in hex: the same in every
// task that asks it, and nothing of its text.
std::string question_mark(std::string_view sample);

// Sorted, each once.
std::vector<std::string> question_marks(const std::vector<SweepQuestion>&);

struct TrainingFacts {
  std::set<std::string> seen;         // marks of the questions, at least one
  std::optional<double> target_cost;  // mean FLOPs, of the full ones
};

// From the config_json of a stored policy. Nothing when it does not tell: no predictor, or one that
// was made elsewhere or says it in another way.
std::optional<TrainingFacts> training_facts(const std::string& policy_config);

}  // namespace harness
