#include "engine/cost_model.h"

#include <algorithm>

#include "kernels/matmul.h"

namespace engine {
namespace {

uint64_t row_flops(int64_t n_out, int64_t n_in) {
  return kernels::matmul_cost(1, n_out, n_in, kernels::Dtype::f32).flops;
}

uint64_t block_flops(int64_t d_model, int64_t width) {
  return 2 * row_flops(width, d_model) + row_flops(d_model, width);
}

uint64_t router_flops(const ModelConfig& c) {
  const MoeConfig& moe = c.moe;
  const int64_t routed = moe.n_routed(), neurons = routed * moe.n_representatives;
  switch (moe.router) {
    case RouterKind::none:
      return 0;
    case RouterKind::linear:
      return row_flops(routed, c.d_model);
    case RouterKind::representative:
      return row_flops(routed, c.d_model) + 2 * row_flops(neurons, c.d_model) +
             row_flops(routed, neurons);
    case RouterKind::gate_first:
      return static_cast<uint64_t>(routed) * row_flops(moe.d_expert, c.d_model);
    case RouterKind::exact_norm:
      return static_cast<uint64_t>(routed) * block_flops(c.d_model, moe.d_expert);
  }
  return 0;
}

void book(ComputeLedger& ledger, CostModel::Book where, Part part, uint64_t flops) {
  const kernels::Cost cost{flops, 0};
  if (where != CostModel::Book::executed) ledger.add_useful(part, cost);
  if (where != CostModel::Book::useful) ledger.add_executed(part, cost);
}

}  // namespace

CostModel::CostModel(const ModelConfig& c)
    : shape_{c.n_heads, c.n_kv_heads, c.d_head},
      n_layers_(c.n_layers),
      n_shared_(c.moe.n_shared),
      projections_flops_(row_flops(c.n_heads * c.d_head, c.d_model) +
                         2 * row_flops(c.n_kv_heads * c.d_head, c.d_model) +
                         row_flops(c.d_model, c.n_heads * c.d_head)),
      expert_flops_(block_flops(c.d_model, c.moe.d_expert)),
      shared_flops_(block_flops(c.d_model, c.moe.d_shared)),
      router_flops_(router_flops(c)),
      shared_gate_flops_(c.moe.shared_gate ? row_flops(c.moe.n_shared, c.d_model) : 0),
      head_flops_(row_flops(c.vocab, c.d_model)) {}

void CostModel::add_rows(ComputeLedger& ledger, Book where, int64_t first, int64_t last,
                         const ExpertBudget& budget) const {
  if (last <= first) return;
  const auto rows = static_cast<uint64_t>(last - first), layers = static_cast<uint64_t>(n_layers_);
  uint64_t attention = rows * projections_flops_;
  for (int64_t p = first; p < last; ++p) {
    attention += kernels::attention_cost(shape_, p + 1).flops;
  }
  book(ledger, where, Part::attention, layers * attention);
  uint64_t router = layers * shared_gate_flops_;
  for (int32_t layer = 0; layer < n_layers_; ++layer) {
    if (budget.k_of(layer) > n_shared_) router += router_flops_;
  }
  book(ledger, where, Part::router, rows * router);
}

void CostModel::add_calls(ComputeLedger& ledger, Book where,
                          const RoutingTrace::Calls& calls) const {
  book(ledger, where, Part::experts, calls.shared * shared_flops_ + calls.routed * expert_flops_);
}

RoutingTrace::Calls CostModel::calls_at(const ExpertBudget& budget, int64_t rows) const {
  RoutingTrace::Calls calls;
  for (int32_t layer = 0; layer < n_layers_; ++layer) {
    const int32_t k = budget.k_of(layer), shared = std::min(k, n_shared_);
    calls.shared += static_cast<uint64_t>(rows * shared);
    calls.routed += static_cast<uint64_t>(rows * (k - shared));
  }
  return calls;
}

void CostModel::add_head(ComputeLedger& ledger, Book where, int64_t rows) const {
  book(ledger, where, Part::head, static_cast<uint64_t>(rows) * head_flops_);
}

}  // namespace engine
