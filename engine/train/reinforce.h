// Owns ReinforceLearner: a policy and a success model that learn from the outcomes of drawn k
// alone, by REINFORCE with a learned baseline (Williams 1992). Whoever uses it knows where outcomes
// come from: a table, or an engine that runs what is drawn.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "engine/train/learner.h"
#include "engine/train/options.h"

namespace engine::train {

class ReinforceLearner {
 public:
  struct Draw {
    size_t k = 0;  // index
    double lambda = 0;
  };
  struct Seen {  // of a draw
    double success = 0, reward = 0;
  };

  // Of the examples' features, grid and rows alone.
  ReinforceLearner(const Examples&, std::span<const int64_t> rows, const Options&);

  // One k for each row of z [n, n_features], standardised by policy().input.
  std::vector<Draw> draw(const std::vector<double>& z);
  // Of the draws of the last draw(), in their order: sets both gradients, changes no network. cost:
  // [n_k], for the baseline V = sum_k pi_k (p_k - lambda cost_k).
  void learn(std::span<const Seen>, std::span<const double> cost);
  void step();

  const PolicyModel& policy() const { return policy_; }
  const SuccessModel& success() const { return success_; }
  std::span<Mlp* const> networks() { return networks_; }
  // Of the negative mean value of the last draws, by the policy's parameters.
  const std::vector<double>& policy_gradient() const { return policy_learner_.gradient; }

  ReinforceLearner(const ReinforceLearner&) = delete;
  ReinforceLearner& operator=(const ReinforceLearner&) = delete;

 private:
  Options options_;
  PolicyModel policy_;
  SuccessModel success_;
  Learner policy_learner_, success_learner_;
  std::array<Mlp*, 2> networks_;
  Random random_;
  std::vector<Draw> draws_;
};

}  // namespace engine::train
