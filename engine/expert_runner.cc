#include "engine/expert_runner.h"

#include "kernels/combine.h"

namespace engine {
namespace {

kernels::ExpertGroup group_of(const Expert& e, const float* x, float* y, int64_t rows) {
  return {&e.gate, &e.up, &e.down, x, y, rows};
}

}  // namespace

ExpertRunner::ExpertRunner(const ModelConfig& config, const Placement& placement,
                           Communicator& comm, kernels::ThreadPool& pool)
    : config_(config),
      pool_(pool),
      exchanges_(comm.size() > 1 && placement.n_slots() > 0),
      exchange_(config.moe.n_shared, config.d_model, placement, comm, pool) {}

// One expert of weight 1 for every row, and nobody to exchange with: no row needs to move.
bool ExpertRunner::run_as_dense(const LayerWeights& w, const float* x, int64_t m,
                                const int16_t* ids, const float* weights, float* y) {
  if (exchanges_) return false;
  for (int64_t r = 0; r < m; ++r) {
    const int64_t at = r * kMaxBudget;
    if (ids[at] != ids[0] || ids[at] < 0 || ids[at + 1] >= 0 || weights[at] != 1) return false;
  }
  if (m > 0) {
    const kernels::ExpertGroup group = group_of(w.experts[ids[0]], x, y, m);
    kernels::expert_ffn({&group, 1}, scratch_, pool_);
  }
  return true;
}

void ExpertRunner::run(const LayerWeights& w, const float* x, int64_t m, int64_t first_row,
                       const int16_t* ids, const float* weights, float* y) {
  if (!run_as_dense(w, x, m, ids, weights, y)) {
    groups_.clear();
    for (const ExpertRows& e : exchange_.dispatch(x, m, first_row, ids)) {
      groups_.push_back(group_of(w.experts[e.expert], e.x, e.y, e.rows));
    }
    kernels::expert_ffn(groups_, scratch_, pool_);
    exchange_.combine(weights, m, y);
  }
  if (config_.moe.compensate) {
    kernels::add_missing_means(w.expert_means.data(), config_.d_model, config_.moe.n_experts, ids,
                               m, y, pool_);
  }
}

}  // namespace engine
