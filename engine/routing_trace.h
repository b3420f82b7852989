// Owns the record of routing: which experts ran, for every row of a step (StepRouting) and summed
// up for a query (RoutingTrace).
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "engine/model_config.h"

namespace engine {

// The first layer whose router gave a row a score that is NaN or infinite; none: -1.
struct RouterFault {
  int16_t layer = -1;
  bool input = false;  // what the router read was not finite already
  explicit operator bool() const { return layer >= 0; }
};

// Experts of every row of one step. ids [n_layers, rows, kMaxBudget]: ascending, unused places -1.
// margins [n_layers, rows]: score of the last chosen routed expert minus that of the best one left
// out (softmax probability; router score where weights are 1); NaN where nothing was left to
// choose.
class StepRouting {
 public:
  StepRouting(const ModelConfig&, int64_t max_rows);

  void begin(int64_t rows);
  int64_t rows() const { return rows_; }
  int32_t n_layers() const { return n_layers_; }
  int32_t n_experts() const { return n_experts_; }
  int16_t* ids(int32_t layer) { return ids_.data() + layer * max_rows_ * kMaxBudget; }
  const int16_t* ids(int32_t layer) const { return ids_.data() + layer * max_rows_ * kMaxBudget; }
  float* margins(int32_t layer) { return margins_.data() + layer * max_rows_; }
  const float* margins(int32_t layer) const { return margins_.data() + layer * max_rows_; }

  RouterFault* faults() { return faults_.data(); }  // [rows]
  const RouterFault* faults() const { return faults_.data(); }

  // Mean over layers of the number of different experts that ran in the step.
  double distinct_experts() const;
  int32_t k_max() const;  // most experts that one row ran in one layer

 private:
  int32_t n_layers_, n_experts_;
  int64_t max_rows_, rows_ = 0;
  std::vector<int16_t> ids_;
  std::vector<float> margins_;
  std::vector<RouterFault> faults_;
  mutable std::vector<uint8_t> seen_;  // [n_experts], for distinct_experts()
};

// Experts of every token of a prefix: ids [tokens, n_layers, kMaxBudget], as in StepRouting;
// margins [tokens, n_layers]; faults [tokens].
struct TokenRouting {
  std::vector<int16_t> ids;
  std::vector<float> margins;
  std::vector<RouterFault> faults;

  void append(const StepRouting&);  // all rows of the step, in order
};

class RoutingTrace {
 public:
  struct Layer {
    int64_t tokens = 0, k_sum = 0;
    int32_t k_min = std::numeric_limits<int32_t>::max(), k_max = 0;
    int64_t margins = 0;  // tokens that had something to choose
    double margin_sum = 0;
    float margin_min = std::numeric_limits<float>::infinity();
    friend bool operator==(const Layer&, const Layer&) = default;
  };

  RoutingTrace() = default;
  RoutingTrace(int32_t n_layers, int32_t n_experts);

  void add(const StepRouting&, int64_t first_row, int64_t n_rows);
  void add(const TokenRouting&, int64_t n_tokens);  // the first n tokens of a prefix

  bool empty() const { return layers_.empty(); }
  int32_t n_experts() const { return n_experts_; }
  const std::vector<Layer>& layers() const { return layers_; }
  // Tokens that ran an expert, [n_layers, n_experts].
  const std::vector<uint32_t>& tokens() const { return tokens_; }
  uint32_t tokens_on(int32_t layer, int32_t expert) const {
    return tokens_[static_cast<size_t>(layer) * n_experts_ + expert];
  }
  // Expert calls (token, expert) over all layers: of shared experts, of routed ones.
  struct Calls {
    uint64_t shared = 0, routed = 0;
  };
  Calls calls(int32_t n_shared) const;
  double k_mean() const;  // over tokens and layers; 0 when empty
  int32_t k_min() const;
  int32_t k_max() const;

  friend bool operator==(const RoutingTrace&, const RoutingTrace&) = default;

 private:
  void add_token(int32_t layer, const int16_t* ids, float margin);

  int32_t n_experts_ = 0;
  std::vector<Layer> layers_;
  std::vector<uint32_t> tokens_;
};

// Expert calls of some rows of a step, over all layers.
RoutingTrace::Calls calls_of(const StepRouting&, int64_t first_row, int64_t n_rows,
                             int32_t n_shared);

}  // namespace engine
