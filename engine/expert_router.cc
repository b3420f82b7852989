#include "engine/expert_router.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "engine/gate_rule.h"
#include "engine/grow.h"
#include "kernels/combine.h"
#include "kernels/elementwise.h"
#include "kernels/matmul.h"

namespace engine {
namespace {

static_assert(kMaxBudget == kernels::kMaxChosen && kMaxBudget == kernels::kMaxTerms);

}  // namespace

ExpertRouter::ExpertRouter(const ModelConfig& config, GateNorm norm)
    : moe_(config.moe), d_model_(config.d_model), gate_(gate_rule(config.moe, norm)) {}

void ExpertRouter::add_representatives(const Router& router, const float* x, int64_t m,
                                       kernels::ThreadPool& pool) {
  const int64_t n = router.rep_gate.n_out();
  float* gate = grow(gate_out_, m * n);
  float* up = grow(up_out_, m * n);
  float* mixed = grow(mixed_, m * moe_.n_routed());
  kernels::matmul(x, d_model_, m, router.rep_gate, nullptr, gate, n, pool);
  kernels::matmul(x, d_model_, m, router.rep_up, nullptr, up, n, pool);
  kernels::swiglu(gate, up, m, n, gate, pool);
  for (int64_t i = 0; i < m * n; ++i) gate[i] = std::fabs(gate[i]);
  kernels::matmul(gate, n, m, router.mix, nullptr, mixed, moe_.n_routed(), pool);
  kernels::add_rows(mixed, m * moe_.n_routed(), scores_.data(), pool);
}

// score = activation_scale . |silu(gate x)|: what the gates alone know of an expert's output. An
// expert that is chosen computes its gate once more.
void ExpertRouter::score_by_gates(const LayerWeights& w, const float* x, int64_t m,
                                  kernels::ThreadPool& pool) {
  const int64_t n = moe_.n_routed(), width = moe_.d_expert;
  float* gate = grow(gate_out_, m * width);
  float* scale = grow(up_out_, m * width);
  for (int64_t e = 0; e < n; ++e) {
    kernels::matmul(x, d_model_, m, w.experts[moe_.n_shared + e].gate, nullptr, gate, width, pool);
    const float* row = w.router.activation_scale.data() + e * width;
    for (int64_t r = 0; r < m; ++r) std::copy_n(row, width, scale + r * width);
    kernels::swiglu(gate, scale, m, width, gate, pool);
    for (int64_t r = 0; r < m; ++r) {
      double sum = 0;
      for (int64_t i = 0; i < width; ++i) sum += std::fabs(gate[r * width + i]);
      scores_[r * n + e] = static_cast<float>(sum);
    }
  }
}

// score = log(||E(x) - mean|| + 1e-12): the size of what leaving the expert out would lose. It
// costs every expert, and serves as the bound of what a router could know.
void ExpertRouter::score_by_norm(const LayerWeights& w, const float* x, int64_t m,
                                 kernels::ThreadPool& pool) {
  float* out = grow(expert_out_, m * d_model_);
  const int64_t n = moe_.n_routed();
  for (int64_t e = 0; e < n; ++e) {
    const Expert& expert = w.experts[moe_.n_shared + e];
    const kernels::ExpertGroup group{&expert.gate, &expert.up, &expert.down, x, out, m};
    kernels::expert_ffn({&group, 1}, scratch_, pool);
    const float* mean =
        w.expert_means.empty() ? nullptr : w.expert_means.data() + (moe_.n_shared + e) * d_model_;
    pool.parallel_for(m, [&](int64_t r, int) {
      double sum = 0;
      for (int64_t i = 0; i < d_model_; ++i) {
        const double lost = static_cast<double>(out[r * d_model_ + i]) -
                            (mean ? static_cast<double>(mean[i]) : 0.0);
        sum += lost * lost;
      }
      scores_[r * n + e] = static_cast<float>(std::log(std::sqrt(sum) + 1e-12));
    });
  }
}

void ExpertRouter::score(const LayerWeights& w, const float* x, int64_t m,
                         kernels::ThreadPool& pool) {
  const int64_t n = moe_.n_routed();
  grow(scores_, m * n);
  if (moe_.router == RouterKind::exact_norm) return score_by_norm(w, x, m, pool);
  if (moe_.router == RouterKind::gate_first) return score_by_gates(w, x, m, pool);
  const float* bias = w.router.bias.empty() ? nullptr : w.router.bias.data();
  kernels::matmul(x, d_model_, m, w.router.weight, bias, scores_.data(), n, pool);
  if (moe_.router == RouterKind::representative) add_representatives(w.router, x, m, pool);
}

// Source: Qwen2MoeSparseMoeBlock: sigmoid(shared_expert_gate x) * shared_expert(x).
void ExpertRouter::weigh_shared(const Router& router, const float* x, int64_t m, const int16_t* ids,
                                float* weights, kernels::ThreadPool& pool) {
  const int64_t n = router.shared_gate.n_out();
  float* gates = grow(gate_out_, m * n);
  kernels::matmul(x, d_model_, m, router.shared_gate, nullptr, gates, n, pool);
  for (int64_t r = 0; r < m; ++r) {
    for (int64_t j = 0; j < n && ids[r * kMaxBudget + j] == j; ++j) {
      const auto g = static_cast<double>(gates[r * n + j]);
      weights[r * kMaxBudget + j] = static_cast<float>(1 / (1 + std::exp(-g)));
    }
  }
}

void ExpertRouter::route(const LayerWeights& w, int32_t layer, const float* x, int64_t m,
                         const ExpertBudget* const* budgets, int16_t* ids, float* weights,
                         float* margins, RouterFault* faults, kernels::ThreadPool& pool) {
  std::fill_n(ids, m * kMaxBudget, int16_t{-1});
  std::fill_n(weights, m * kMaxBudget, 0.0f);
  std::fill_n(margins, m, std::numeric_limits<float>::quiet_NaN());
  rows_.clear();
  selections_.clear();
  for (int64_t r = 0; r < m; ++r) {
    const ExpertBudget& budget = *budgets[r];
    const int32_t k = budget.k_of(layer), n_shared = std::min(k, moe_.n_shared);
    assert(k >= 1 && k <= moe_.max_k());
    for (int32_t j = 0; j < n_shared; ++j) {
      ids[r * kMaxBudget + j] = static_cast<int16_t>(j);
      weights[r * kMaxBudget + j] = 1;
    }
    if (k == n_shared) continue;
    rows_.push_back(static_cast<int32_t>(r));
    selections_.push_back({k - n_shared, select_rule(budget.selector), budget.value, budget.slope});
  }
  if (moe_.shared_gate) weigh_shared(w.router, x, m, ids, weights, pool);
  const auto n = static_cast<int64_t>(rows_.size());
  if (n == 0) return;
  if (n < m) {
    kernels::gather_rows(x, d_model_, rows_.data(), n, grow(x_, n * d_model_), pool);
    x = x_.data();
  }
  score(w, x, n, pool);
  const float* by = scores_.data();
  if (exploration_ != nullptr) {
    exploration_->add_learned(layer, x, n, scores_.data());
    if (exploration_->is_drawing()) {
      drawn_.clear();
      for (const auto& s : selections_) drawn_.push_back(s.k);
      by = exploration_->draw(layer, x, n, scores_.data(), drawn_);
    }
  }
  const int64_t broken = kernels::select_experts(
      by, n, moe_.n_routed(), selections_.data(), gate_, moe_.trained_k - moe_.n_shared,
      grow(ids_, n * kMaxBudget), grow(weights_, n * kMaxBudget), grow(margins_, n), pool);
  if (by != scores_.data()) {
    for (int64_t i = 0; i < n; ++i) {                      // drawn by noise, weighed without it
      if (std::isnan(weights_[i * kMaxBudget])) continue;  // a broken row
      const int16_t* chosen = ids_.data() + i * kMaxBudget;
      int32_t k = 0;
      while (k < selections_[i].k && chosen[k] >= 0) ++k;
      kernels::weigh_experts(scores_.data() + i * moe_.n_routed(), moe_.n_routed(), chosen, k,
                             gate_, moe_.trained_k - moe_.n_shared,
                             weights_.data() + i * kMaxBudget);
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    const int64_t r = rows_[i];
    for (int64_t j = 0; j < selections_[i].k && ids_[i * kMaxBudget + j] >= 0; ++j) {
      const int64_t to = r * kMaxBudget + moe_.n_shared + j;
      ids[to] = static_cast<int16_t>(moe_.n_shared + ids_[i * kMaxBudget + j]);
      weights[to] = weights_[i * kMaxBudget + j];
    }
    margins[r] = margins_[i];
    // A row that is not broken has finite weights: p is at most 1, and the largest p is not 0.
    if (broken > 0 && std::isnan(weights_[i * kMaxBudget]) && !faults[r]) {
      const float* row = x + i * d_model_;
      faults[r] = {static_cast<int16_t>(layer),
                   !std::all_of(row, row + d_model_, [](float v) { return std::isfinite(v); })};
    }
  }
}

}  // namespace engine
