#include "harness/training_facts.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "datasets/sha256.h"

namespace harness {

std::string question_mark(std::string_view task, std::string_view sample) {
  return datasets::sha256_hex(fmt::format("{}:{}", task, sample)).substr(0, 8);
}

std::vector<std::string> question_marks(const std::vector<SweepQuestion>& questions) {
  std::set<std::string> marks;
  for (const auto& q : questions) marks.insert(question_mark(q.task, q.sample));
  return {marks.begin(), marks.end()};
}

std::optional<TrainingFacts> training_facts(const std::string& policy_config) {
  auto config = nlohmann::json::parse(policy_config, nullptr, false);
  // Within a latency cap.
  if (config.is_object() && config.contains("policy")) config = nlohmann::json(config["policy"]);
  if (!config.is_object() || !config.contains("training")) return std::nullopt;
  const auto& training = config["training"];
  if (!training.is_object() || !training.contains("seen") || !training["seen"].is_array())
    return std::nullopt;
  TrainingFacts facts;
  for (const auto& mark : training["seen"])
    if (mark.is_string()) facts.seen.insert(mark.get<std::string>());
  if (training.contains("target_cost") && training["target_cost"].is_number())
    facts.target_cost = training["target_cost"].get<double>();
  return facts;
}

}  // namespace harness
