// Owns the feed-forward block of a layer: router scores, the choice of every row's experts, their
// execution over the ranks of an expert-parallel group, and their sum.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/expert_budget.h"
#include "engine/router_exploration.h"
#include "engine/routing_trace.h"
#include "engine/weights.h"
#include "kernels/thread_pool.h"

namespace engine {

// Thread ranks of one process.
inline constexpr int kMaxRanks = 64;

// For up to max_rows rows; buffers grow to what the largest step needed and stay. ranks > 1 splits
// rows and experts over so many thread ranks that exchange tokens through a Communicator; results
// are bitwise those of one rank. Routing runs for all rows at once: a row's experts depend on it
// alone.
class MoeLayer {
 public:
  // Throws std::invalid_argument: ranks outside 1..kMaxRanks, or a norm other than GateNorm::model
  // for a model whose experts have no weights.
  MoeLayer(const ModelConfig&, GateNorm, int64_t max_rows, int ranks, kernels::ThreadPool&);
  ~MoeLayer();

  // Chooses the experts of each row: x [m, d_model] normed, budgets [m]. Fills the step's ids,
  // margins and new faults of this layer; keeps the weights for run(). The router runs for rows
  // whose k of the layer exceeds n_shared, the gate of shared experts for all. A row with a router
  // score that is not finite runs its first k experts with NaN weights: its output is NaN, no other
  // row's is.
  void route(const LayerWeights&, int32_t layer, const float* x, int64_t m,
             const ExpertBudget* const* budgets, StepRouting&);

  // See RouterExploration; null = none.
  void explore(RouterExploration*);

  // y[r] = sum over the row's experts, by ascending id, of weight * expert(x[r]), plus the means of
  // experts left out where the model compensates; y [m, d_model]. After route() of the same layer.
  // Throws CommError; the layer is dead then.
  void run(const LayerWeights&, int32_t layer, const float* x, int64_t m, const StepRouting&,
           float* y);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace engine
