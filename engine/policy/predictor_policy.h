// Owns PredictorPolicy: k from the question by a small network (predictor_file.h).
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engine/policy/predictor_file.h"

namespace engine {

class PredictorPolicy final : public ExpertPolicy {
 public:
  // Throws ModelFileError, PolicyMismatch.
  static std::shared_ptr<const PredictorPolicy> load(const std::filesystem::path&,
                                                     std::string label, const PolicyContext&);

  std::string_view kind() const override { return "predictor"; }
  std::string label() const override { return label_; }
  std::string config_json() const override;
  std::string origin_json() const override { return network_.training_json(); }
  const std::optional<FallbackRule>& fallback() const { return network_.fallback(); }
  const std::string& file_sha256() const { return network_.file_sha256(); }
  // Throws PolicyError where the question's features or the network overflow.
  Decision decide(const QueryFeatures&) const override;

 private:
  PredictorPolicy(PredictorNetwork network, std::string label, const PolicyContext& context)
      : network_(std::move(network)),
        label_(std::move(label)),
        d_model_(context.d_model),
        embedding_row_(context.embedding_row) {}

  PredictorNetwork network_;
  std::string label_;
  int64_t d_model_;
  std::function<void(TokenId, float*)> embedding_row_;
};

}  // namespace engine
