#include "engine/cost_model.h"

#include "kernels/matmul.h"

namespace engine {
namespace {

uint64_t row_flops(int64_t n_out, int64_t n_in) {
  return kernels::matmul_cost(1, n_out, n_in, kernels::Dtype::f32).flops;
}

void book(ComputeLedger& ledger, CostModel::Book where, Part part, uint64_t flops) {
  const kernels::Cost cost{flops, 0};
  if (where != CostModel::Book::executed) ledger.add_useful(part, cost);
  if (where != CostModel::Book::useful) ledger.add_executed(part, cost);
}

}  // namespace

CostModel::CostModel(const ModelConfig& c)
    : shape_{c.n_heads, c.n_kv_heads, c.d_head},
      n_layers_(static_cast<uint64_t>(c.n_layers)),
      projections_flops_(row_flops(c.n_heads * c.d_head, c.d_model) +
                         2 * row_flops(c.n_kv_heads * c.d_head, c.d_model) +
                         row_flops(c.d_model, c.n_heads * c.d_head)),
      expert_flops_(2 * row_flops(c.moe.d_shared, c.d_model) +
                    row_flops(c.d_model, c.moe.d_shared)),
      head_flops_(row_flops(c.vocab, c.d_model)) {}

void CostModel::add_rows(ComputeLedger& ledger, Book where, int64_t first, int64_t last,
                         ExpertBudget budget) const {
  if (last <= first) return;
  const auto rows = static_cast<uint64_t>(last - first);
  uint64_t attention = rows * projections_flops_;
  for (int64_t p = first; p < last; ++p) {
    attention += kernels::attention_cost(shape_, p + 1).flops;
  }
  book(ledger, where, Part::attention, n_layers_ * attention);
  book(ledger, where, Part::experts,
       n_layers_ * rows * expert_flops_ * static_cast<uint64_t>(budget.k));
}

void CostModel::add_head(ComputeLedger& ledger, Book where, int64_t rows) const {
  book(ledger, where, Part::head, static_cast<uint64_t>(rows) * head_flops_);
}

}  // namespace engine
