// Owns what a policy comes to on examples: accuracy, compute, regret, and what it gains over static
// k and their mixtures (research note adaptive-moe.md, section 4).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/train/examples.h"

namespace engine::train {

struct Range {
  double lower = 0, upper = 0;
};

// Accuracy that static k and random mixtures of them reach at a mean cost, or for less.
class StaticHull {
 public:
  // Mean cost and accuracy of each k.
  StaticHull(std::span<const double> cost, std::span<const double> accuracy);
  // Below the cheapest k: the cheapest one's.
  double accuracy_at(double cost) const;

 private:
  std::vector<std::pair<double, double>> points_;  // upper hull, both rising
};

struct Outcome {
  int64_t n = 0, clusters = 0;
  double accuracy = 0, mean_k = 0;
  double cost = 0;    // mean useful FLOPs / FLOPs at the largest k, own FLOPs included
  double reward = 0;  // mean of y - lambda cost - mu lateness
  double regret = 0;  // mean of the best reward that any k had, less the policy's
  double gain = 0;    // accuracy above the static hull at the same cost
  Range accuracy_interval, gain_interval;  // 95%, percentiles of a bootstrap over clusters
};

// shares: comparators.h. own_flops: of one decision, charged to the query.
Outcome outcome_of(const Examples&, std::span<const double> shares, uint64_t own_flops,
                   double lambda, double mu);

// Mean reward of a less that of b, and its 95% interval by clusters.
struct Difference {
  double mean = 0;
  Range interval;
};
Difference reward_difference(const Examples&, std::span<const double> a, uint64_t a_flops,
                             std::span<const double> b, uint64_t b_flops, double lambda, double mu);

// Spearman's rank correlation, ties at their mean rank; NaN when either side does not vary.
double spearman(std::span<const double>, std::span<const double>);

// Shannon entropy of the frequencies of k, in nats; 0 = one static k.
double choice_entropy(std::span<const double> shares, int64_t n_k);

inline constexpr int kOutcomeResamples = 2000;
inline constexpr uint64_t kOutcomeSeed = 1;

}  // namespace engine::train
