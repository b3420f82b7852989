#include "engine/policy/predictor_policy.h"

#include <nlohmann/json.hpp>

namespace engine {

std::shared_ptr<const PredictorPolicy> PredictorPolicy::load(const std::filesystem::path& path,
                                                             std::string label,
                                                             const PolicyContext& context) {
  return std::shared_ptr<const PredictorPolicy>(
      new PredictorPolicy(PredictorNetwork::load(path, context), std::move(label), context));
}

std::string PredictorPolicy::config_json() const {
  return nlohmann::json{{"kind", "predictor"}, {"file_sha256", network_.file_sha256()}}.dump();
}

Decision PredictorPolicy::decide(const QueryFeatures& q) const {
  const auto features = question_features(network_.features(), q, d_model_, embedding_row_);
  const auto out = network_.infer(features);
  Decision d;
  d.budget.k = out.k;
  d.complexity = out.complexity;
  for (size_t i = 0; i < out.p_k.size(); ++i)
    d.p_correct_by_k.emplace_back(network_.grid()[i], out.p_k[i]);
  d.own_cost = network_.cost();
  if (out.ood_score) {
    d.ood_score = out.ood_score;
    d.ood_flagged = out.ood_flagged;
    d.k_without_fallback = out.k_without_fallback;
  }
  return d;
}

}  // namespace engine
