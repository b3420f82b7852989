// Owns ExpertBudget: how many experts a query may run, and how its tokens choose inside that.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model_config.h"

namespace engine {

// How a token chooses among the routed experts, always the best scores first, ties to the lower id,
// never more than the budget, at least one where the budget leaves one.
enum class Selector : uint8_t {
  top_k,      // all that the budget allows
  top_p,      // until their probabilities sum to more than `value`
  threshold,  // those with a probability of at least `value`
  entropy     // round(value + slope * H(p) / log n_routed) experts
};

// What the weights of the chosen experts are when k is not the trained one.
enum class GateNorm : uint8_t {
  model,         // the checkpoint's own rule, applied to the experts that ran
  raw,           // softmax over all experts, as it is
  renormalised,  // divided by their sum
  trained_mass   // scaled so that they sum to what the trained k would have summed to
};
const char* gate_norm_name(GateNorm);

// k counts shared experts too: k <= n_shared runs the first k of them and routes nothing. Decided
// once before prefill; it stays for the whole query.
struct ExpertBudget {
  int32_t k = 1;
  std::vector<int16_t>
      k_per_layer;  // empty: k in every layer; else n_layers entries, `k` their mean
  Selector selector = Selector::top_k;
  float value = 0, slope = 0;

  int32_t k_of(int32_t layer) const {
    return k_per_layer.empty() ? k : k_per_layer[static_cast<size_t>(layer)];
  }
  friend bool operator==(const ExpertBudget&, const ExpertBudget&) = default;

  // One line without blanks that tells budgets apart: "k=4", "k=16;top_p=0.5". Part of prefix keys.
  std::string key() const;
  // Throws std::invalid_argument when the model cannot run it.
  void check(const MoeConfig&, int32_t n_layers) const;
};

}  // namespace engine
