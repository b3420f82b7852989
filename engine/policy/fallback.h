// Owns what a predictor does with queries that it was not made for: fallbacks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/policy/ood_measure.h"

namespace engine {

// Of a query whose score exceeds the threshold; every other one is decided by the rule.
enum class Fallback {
  none,    // decide as if it were any other
  full,    // the largest k
  fixed,   // the one k best in training
  shrink,  // mix p with the training mean of p, of which 1 - threshold / score, and plug in
  cap      // at most the one k best in training
};
inline constexpr Fallback kFallbacks[] = {Fallback::none, Fallback::full, Fallback::fixed,
                                          Fallback::shrink, Fallback::cap};
const char* fallback_name(Fallback);
const Fallback* find_fallback(std::string_view name);  // nullptr: there is none

// How queries are recognised, and what is done with them.
struct FallbackChoice {
  OodDetector detector = OodDetector::mahalanobis;
  Fallback fallback = Fallback::full;
  std::string label() const;  // "mahalanobis:full"
};
// Of a label; `none` is no choice. Nothing when there is no such pair.
std::optional<FallbackChoice> parse_fallback(std::string_view label);

// What a fallback is decided on, of one query.
struct Prospect {
  std::vector<double> p;            // [n_k] predicted success
  std::span<const double> prior;    // [n_k] mean success in training
  std::span<const double> cost;     // [n_k] mean cost in training
  size_t fixed = 0;                 // index of the one k best in training
  double score = 0, threshold = 0;  // OodMeasure, of the query and of the training queries
  bool flagged() const { return score > threshold; }
};

// Index of k; usual: the rule's. p and cost count for shrink only.
size_t fall_back(Fallback, const Prospect&, size_t usual, double lambda);
// The same where the rule is the plug-in.
size_t decide(Fallback, const Prospect&, double lambda);

// A fallback as a predictor's file keeps it.
struct FallbackRule {
  FallbackChoice choice;
  int64_t units = 0;          // of the last hidden layer the first ones, which the measure reads
  double threshold = 0;       // scores above it are flagged
  int32_t k = 0;              // fixed and cap: the one k best in training
  std::vector<double> prior;  // shrink: [n_k]
  OodMeasure measure;
};

}  // namespace engine
