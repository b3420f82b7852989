#include "engine/train/reinforce.h"

#include <algorithm>
#include <cassert>

namespace engine::train {

ReinforceLearner::ReinforceLearner(const Examples& ex, std::span<const int64_t> rows,
                                   const Options& o)
    : options_(o),
      policy_(start_policy(ex, rows, o)),
      success_(start_success(ex, policy_.input, o)),
      policy_learner_(policy_.net, o),
      success_learner_(success_.net, o),
      networks_{&policy_.net, &success_.net},
      random_(derived_seed(o.seed, kDraws)) {}

std::vector<ReinforceLearner::Draw> ReinforceLearner::draw(const std::vector<double>& z) {
  const int64_t n = static_cast<int64_t>(z.size()) / policy_.net.n_in();
  policy_learner_.forward(z, n);
  success_learner_.forward(z, n);
  draws_.clear();
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
    const double lambda = draw_lambda(options_, random_);
    const auto pi = softmax(folded(policy_learner_.output(i), policy_.basis(lambda)));
    draws_.push_back({random_.draw(pi), lambda});
  }
  return draws_;
}

void ReinforceLearner::learn(std::span<const Seen> seen, std::span<const double> cost) {
  assert(seen.size() == draws_.size());
  const size_t n_k = cost.size();
  std::vector<double> d_logits(n_k), y(n_k);
  std::vector<uint8_t> known(n_k);
  for (size_t i = 0; i < seen.size(); ++i) {
    const auto& [k, lambda] = draws_[i];
    const auto g = policy_.basis(lambda);
    const auto logits = folded(policy_learner_.output(i), g);
    const auto pi = softmax(logits);
    const auto p = success_probabilities(success_.head, success_learner_.output(i));
    double baseline = 0;
    for (size_t j = 0; j < n_k; ++j) baseline += pi[j] * (p[j] - lambda * cost[j]);
    reinforce_gradient(logits, k, seen[i].reward, baseline, options_.entropy, d_logits);
    unfold(d_logits, g, policy_learner_.d_output(i));
    std::fill(known.begin(), known.end(), uint8_t{0});
    known[k] = 1;
    y[k] = seen[i].success;
    success_loss(success_.head, success_learner_.output(i), y, known, success_learner_.d_output(i));
  }
  policy_learner_.differentiate();
  success_learner_.differentiate();
}

void ReinforceLearner::step() {
  policy_learner_.step();
  success_learner_.step();
}

}  // namespace engine::train
