// Owns the feed-forward block of a layer: router scores, the choice of every row's experts, their
// execution over the ranks of an expert-parallel group, and their sum.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/expert_budget.h"
#include "engine/routing_trace.h"
#include "engine/weights.h"
#include "kernels/thread_pool.h"

namespace engine {

// Buffers are made once, for up to max_rows rows. ranks > 1 splits rows and experts over so many
// thread ranks that exchange tokens through a Communicator; results are bitwise those of one rank.
class MoeLayer {
 public:
  MoeLayer(const ModelConfig&, GateNorm, int64_t max_rows, int ranks, kernels::ThreadPool&);
  ~MoeLayer();

  // Chooses the experts of each row: x [m, d_model] normed, budgets [m]. Fills the step's ids and
  // margins of this layer; keeps the weights for run().
  void route(const LayerWeights&, int32_t layer, const float* x, int64_t m,
             const ExpertBudget* const* budgets, StepRouting&);

  // y[r] = sum over the row's experts, by ascending id, of weight * expert(x[r]), plus the means of
  // experts left out where the model compensates; y [m, d_model]. After route() of the same layer.
  void run(const LayerWeights&, int32_t layer, const float* x, int64_t m, const StepRouting&,
           float* y);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace engine
