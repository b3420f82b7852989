// Contract of the choice of experts: from the router scores of a row to the few that run, their
// weights and the margin of the choice.
#pragma once

#include <cstdint>

#include "kernels/thread_pool.h"

namespace kernels {

inline constexpr int64_t kMaxChosen = 16;  // places of a row in ids and weights

// How many of a row's best experts run. p = softmax(scores), over all n experts.
enum class SelectRule : uint8_t {
  top_k,      // the k best
  top_p,      // the shortest prefix by falling p whose sum exceeds `value`
  threshold,  // those with p >= value, at least one
  entropy  // round(value + slope * H(p) / log n), halves away from zero; H / log n is 0 when n = 1
};

// Weights of the chosen experts.
enum class GateRule : uint8_t {
  softmax,             // p
  divided,             // p / sum of the chosen p: exactly 1 for a single one
  divided_by_trained,  // p / sum of the trained_k largest p
  scaled_to_trained,   // p * (sum of the trained_k largest p) / (sum of the chosen p)
  unit                 // 1
};

struct RowSelection {
  int32_t k = 0;  // at most so many, 0..min(16, n); 0 chooses none, any other k at least one
  SelectRule rule = SelectRule::top_k;
  float value = 0, slope = 0;
};

// scores [m, n], rows[m]. ids [m, 16]: chosen experts ascending, then -1. weights [m, 16], 0 in
// unused places. margins[m]: p of the last chosen expert minus p of the best one left out (scores
// instead of p with GateRule::unit); NaN where none was chosen or none was left out.
// Better is a higher score, among equals the lower id. p and its sums are computed in double, in
// ascending id (sums of a prefix: by falling p), and rounded once.
// A row with a score that is NaN or infinite has no best: it takes its first k experts, with NaN
// for weights and margin. Returns how many such rows there are; rows of k = 0 are not looked at.
// Requires 0 < trained_k <= min(16, n) for the two rules that name it.
int64_t select_experts(const float* scores, int64_t m, int64_t n, const RowSelection* rows,
                       GateRule, int32_t trained_k, int16_t* ids, float* weights, float* margins,
                       ThreadPool&);

// The weights that the same rule gives a row's k experts `ids` [k], ascending, which were chosen
// otherwise. scores [n], all finite.
void weigh_experts(const float* scores, int64_t n, const int16_t* ids, int32_t k, GateRule,
                   int32_t trained_k, float* weights);

}  // namespace kernels
