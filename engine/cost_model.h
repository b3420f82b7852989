// Owns CostModel: what rows of a query cost, by part. It is computed from the shapes of the model
// alone; the ops count on their own what was launched (kernels::ThreadPool), and tests hold the two
// against each other.
#pragma once

#include <cstdint>

#include "engine/compute_ledger.h"
#include "engine/expert_budget.h"
#include "engine/model_config.h"
#include "engine/routing_trace.h"
#include "kernels/attention.h"

namespace engine {

// Weight bytes are left at 0: a weight is read for a step, not for a query.
class CostModel {
 public:
  explicit CostModel(const ModelConfig&);

  enum class Book { useful, executed, both };
  // Rows at positions [first, last) of one sequence through all layers, experts left out. A layer
  // whose budget leaves nothing to choose runs no router.
  void add_rows(ComputeLedger&, Book, int64_t first, int64_t last, const ExpertBudget&) const;
  // Experts that ran.
  void add_calls(ComputeLedger&, Book, const RoutingTrace::Calls&) const;
  // The most that so many rows of a budget call; exact when its selector is top_k.
  RoutingTrace::Calls calls_at(const ExpertBudget&, int64_t rows) const;
  void add_head(ComputeLedger&, Book, int64_t rows) const;

 private:
  kernels::AttentionShape shape_;
  int32_t n_layers_, n_shared_;
  // Of one row; of one layer but the head.
  uint64_t projections_flops_, expert_flops_, shared_flops_, router_flops_, shared_gate_flops_,
      head_flops_;
};

}  // namespace engine
