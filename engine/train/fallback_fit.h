// Owns what a fallback learns from training: who counts as unlike, the prior, the one best k.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/policy/fallback.h"
#include "engine/train/cross_fit.h"

namespace engine::train {

// Clean queries that score higher than the threshold are flagged too: this share of them.
inline constexpr double kFlaggedClean = 0.05;

// Of the scores of clean queries, each by networks that never saw it.
double flag_threshold(std::vector<double> scores);
// [n_k] mean success over the rows.
std::vector<double> mean_success(const Examples&, std::span<const int64_t> rows);
// Index of the k with the largest mean reward over the rows.
size_t best_fixed(const Examples&, std::span<const int64_t> rows, double lambda, double mu);

// Every query scored and decided by networks that never saw its seed item, and held against a
// threshold from the queries of the other folds.
struct CrossFallback {
  std::vector<double> scores;    // [n]
  std::vector<uint8_t> flagged;  // [n]
  std::vector<size_t> choices;   // [n] index of k
};
CrossFallback cross_fallback(const FallbackChoice&, const Examples&, const CrossFit&, double lambda,
                             double mu);

// For the file of a predictor that was trained on `rows`. threshold: of the cross-fitted scores of
// these. The success model must have a hidden layer.
FallbackRule fallback_rule(const FallbackChoice&, const Examples&, std::span<const int64_t> rows,
                           const Fitted&, double threshold, double lambda, double mu);

}  // namespace engine::train
