#include "harness/training_facts.h"

#include <nlohmann/json.hpp>

#include "datasets/sha256.h"

namespace harness {

std::string question_mark(std::string_view sample) {
  return datasets::sha256_hex(sample).substr(0, 12);
}

std::vector<std::string> question_marks(const std::vector<SweepQuestion>& questions) {
  std::set<std::string> marks;
  for (const auto& q : questions) marks.insert(question_mark(q.sample));
  return {marks.begin(), marks.end()};
}

std::optional<TrainingFacts> training_facts(const std::string& policy_config) {
  const auto config = nlohmann::json::parse(policy_config, nullptr, false);
  if (!config.is_object() || !config.contains("training")) return std::nullopt;
  const auto& training = config["training"];
  if (!training.is_object() || !training.contains("seen") || !training["seen"].is_array())
    return std::nullopt;
  TrainingFacts facts;
  for (const auto& mark : training["seen"]) {
    if (!mark.is_string()) return std::nullopt;
    facts.seen.insert(mark.get<std::string>());
  }
  if (facts.seen.empty()) return std::nullopt;
  if (training.contains("target_cost") && training["target_cost"].is_number())
    if (const double target = training["target_cost"].get<double>(); target > 0 && target <= 1)
      facts.target_cost = target;
  return facts;
}

}  // namespace harness
