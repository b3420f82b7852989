// Owns what a predictor does with queries that it was not made for: fallbacks, and the price at
// which each of them spends the same compute.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace engine::train {

// Of a query whose score exceeds the threshold; every other one is decided by argmax p - lambda c.
enum class Fallback {
  none,    // decide as if it were any other
  full,    // the largest k
  fixed,   // the one k best in training
  shrink,  // mix p with the training mean of p, of which 1 - threshold / score
  cap      // at most the one k best in training
};
inline constexpr Fallback kFallbacks[] = {Fallback::none, Fallback::full, Fallback::fixed,
                                          Fallback::shrink, Fallback::cap};
const char* fallback_name(Fallback);

// What a fallback is decided on, of one query.
struct Prospect {
  std::vector<double> p;            // [n_k] predicted success
  std::span<const double> prior;    // [n_k] mean success in training
  std::span<const double> cost;     // [n_k] mean cost in training
  size_t fixed = 0;                 // index of the one k best in training
  double score = 0, threshold = 0;  // OodScore, of the query and of the training queries
  bool flagged() const { return score > threshold; }
};

// Index of k.
size_t decide(Fallback, const Prospect&, double lambda);

// The lambda of [1e-6, 1e3] at which spend(lambda), which falls as lambda rises, comes nearest to
// `target` from below, by 60 bisections of its logarithm. Nothing when not even the largest does.
// cheaper: even the smallest stays below.
struct Matched {
  double lambda = 0, cost = 0;
  bool cheaper = false;
};
std::optional<Matched> match_cost(double target, const std::function<double(double)>& spend);

}  // namespace engine::train
