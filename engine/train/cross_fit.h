// Owns cross-fitting: every query is decided by networks that never saw its seed item.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/train/trainer.h"

namespace engine::train {

struct Fitted {
  SuccessModel success;
  std::optional<PolicyModel> policy;
  std::vector<double> cost;  // [n_k] means over the rows that it learned from

  // Index of k by the rule.
  size_t decide(std::span<const float> features, double lambda) const;
  // Of one decision by the exported file: its networks are blocks of one, zeros between them.
  uint64_t flops() const;
};
Fitted fit(const Examples&, std::span<const int64_t> rows, Objective, const Options&);

struct Fold {
  std::vector<int64_t> train, test;
};
// Clusters dealt at random into folds of nearly equal numbers. There must be as many clusters as
// folds, and two folds.
std::vector<Fold> make_folds(const Examples&, int n_folds, uint64_t seed);

struct CrossFit {
  std::vector<Fold> folds;
  std::vector<Fitted> fitted;  // one a fold
  std::vector<double> p;       // [n, n_k] of the success models

  std::vector<size_t> decide(const Examples&, double lambda) const;   // [n] by the rule
  std::vector<size_t> plug_in(const Examples&, double lambda) const;  // [n] from p
};
// Folds are trained side by side by at most so many threads, which changes no bit. done: called
// after each fold, by one thread at a time.
CrossFit cross_fit(const Examples&, const std::vector<Fold>&, Objective, const Options&,
                   int threads, const std::function<void()>& done = {});

// The least lambda of [lower, upper] whose decisions cost `target` or less, their own FLOPs
// included, by 40 bisections of its logarithm; nothing when not even `upper` does.
std::optional<double> lambda_for_cost(const Examples&, const CrossFit&, double target,
                                      const LambdaRange&);

}  // namespace engine::train
