// Owns StaticPolicy: one budget for every query. fixed, trained, layers and the per-token selectors
// are values of it.
#pragma once

#include <string>

#include "engine/policy/expert_policy.h"

namespace engine {

class StaticPolicy final : public ExpertPolicy {
 public:
  StaticPolicy(std::string kind, std::string label, ExpertBudget budget)
      : kind_(std::move(kind)), label_(std::move(label)), budget_(std::move(budget)) {}

  std::string_view kind() const override { return kind_; }
  std::string label() const override { return label_; }
  std::string config_json() const override;
  Decision decide(const QueryFeatures&) const override;

 private:
  std::string kind_, label_;
  ExpertBudget budget_;
};

}  // namespace engine
