// Owns the choice of every row's experts in one layer: router scores, selection inside the budget,
// weights.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/expert_budget.h"
#include "engine/router_exploration.h"
#include "engine/routing_trace.h"
#include "engine/weights.h"
#include "kernels/expert_ffn.h"
#include "kernels/select_experts.h"
#include "kernels/thread_pool.h"

namespace engine {

// The router's products run for the rows whose budget exceeds the shared experts, and for those
// only; the gate of the shared experts (qwen2_moe) runs for every row.
class ExpertRouter {
 public:
  // Throws std::invalid_argument when the weights of the model's experts are 1 and the norm asks
  // for something else.
  ExpertRouter(const ModelConfig&, GateNorm);

  // From the next route() on; null = none.
  void explore(RouterExploration* e) { exploration_ = e; }

  // x [m, d_model]; ids, weights [m, kMaxBudget]; margins, faults [m], all as StepRouting has them.
  // A row with a score that is not finite runs as many experts as its budget grants, with NaN for
  // weights, so that its output, and no other one, is NaN; where it has no fault yet, this is it.
  void route(const LayerWeights&, int32_t layer, const float* x, int64_t m,
             const ExpertBudget* const* budgets, int16_t* ids, float* weights, float* margins,
             RouterFault* faults, kernels::ThreadPool&);

 private:
  void score(const LayerWeights&, const float* x, int64_t m, kernels::ThreadPool&);
  void add_representatives(const Router&, const float* x, int64_t m, kernels::ThreadPool&);
  void score_by_gates(const LayerWeights&, const float* x, int64_t m, kernels::ThreadPool&);
  void score_by_norm(const LayerWeights&, const float* x, int64_t m, kernels::ThreadPool&);
  void weigh_shared(const Router&, const float* x, int64_t m, const int16_t* ids, float* weights,
                    kernels::ThreadPool&);

  MoeConfig moe_;
  int64_t d_model_;
  kernels::GateRule gate_;
  // Of the rows that are routed.
  std::vector<int32_t> rows_;
  std::vector<kernels::RowSelection> selections_;
  std::vector<float> x_, scores_, weights_, margins_;
  std::vector<int16_t> ids_;
  RouterExploration* exploration_ = nullptr;
  std::vector<int32_t> drawn_;
  std::vector<float> gate_out_, up_out_, mixed_, expert_out_;
  kernels::ExpertScratch scratch_;
};

}  // namespace engine
