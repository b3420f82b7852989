#include "engine/cpu_forward.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "kernels/elementwise.h"
#include "kernels/matmul.h"

namespace engine {
namespace {

const float* data_or_null(const std::vector<float>& v) { return v.empty() ? nullptr : v.data(); }

bool all_finite(const float* x, int64_t n) {
  uint32_t bad = 0;
  for (int64_t i = 0; i < n; ++i) {
    bad |= static_cast<uint32_t>((std::bit_cast<uint32_t>(x[i]) & 0x7f800000u) == 0x7f800000u);
  }
  return bad == 0;
}

}  // namespace

CpuForward::CpuForward(const ModelConfig& config, const Weights& weights, GateNorm gate_norm,
                       int64_t max_rows, int ranks, kernels::ThreadPool& pool)
    : config_(config),
      weights_(weights),
      pool_(pool),
      shape_{config.n_heads, config.n_kv_heads, config.d_head},
      max_rows_(max_rows),
      rope_(config.rope),
      moe_(config, gate_norm, max_rows, ranks, pool),
      routing_(config, max_rows),
      x_(max_rows * config.d_model),
      normed_(std::max(max_rows, kHeadRows) * config.d_model),
      q_(max_rows * config.n_heads * config.d_head),
      k_(max_rows * config.n_kv_heads * config.d_head),
      v_(max_rows * config.n_kv_heads * config.d_head),
      mixed_(max_rows * config.n_heads * config.d_head),
      delta_(max_rows * config.d_model),
      logits_(kHeadRows * config.vocab) {}

// Moves what the ops counted since the last call into the ledger.
void CpuForward::book(Part part) {
  for (const auto kind : {kernels::OpKind::matmul, kernels::OpKind::attention}) {
    launched_.add_executed(part, pool_.launched(kind));
    pool_.launched(kind) = {};
  }
}

void CpuForward::embed(const RaggedBatch& batch) {
  pool_.parallel_for(batch.size(), [&](int64_t r, int) {
    weights_.embed.row(batch.tokens()[r], x_.data() + r * config_.d_model);
  });
}

// Residual stream += attention of its norm.
void CpuForward::attend(const LayerWeights& w, RaggedBatch& batch, int32_t layer) {
  const int64_t m = batch.size(), d = config_.d_model, d_head = config_.d_head;
  const int64_t d_q = config_.n_heads * d_head, d_kv = config_.n_kv_heads * d_head;
  kernels::rms_norm(x_.data(), m, d, w.attn_norm.data(), config_.norm_eps, normed_.data(), pool_);
  kernels::matmul(normed_.data(), d, m, w.q, data_or_null(w.q_bias), q_.data(), d_q, pool_);
  kernels::matmul(normed_.data(), d, m, w.k, data_or_null(w.k_bias), k_.data(), d_kv, pool_);
  kernels::matmul(normed_.data(), d, m, w.v, data_or_null(w.v_bias), v_.data(), d_kv, pool_);
  if (config_.qk_norm != QkNorm::none) {
    const bool whole = config_.qk_norm == QkNorm::whole;
    kernels::rms_norm(q_.data(), whole ? m : m * config_.n_heads, whole ? d_q : d_head,
                      w.q_norm.data(), config_.norm_eps, q_.data(), pool_);
    kernels::rms_norm(k_.data(), whole ? m : m * config_.n_kv_heads, whole ? d_kv : d_head,
                      w.k_norm.data(), config_.norm_eps, k_.data(), pool_);
  }
  const RopeConfig& rope = config_.rope;
  kernels::rope(q_.data(), d_q, m, config_.n_heads, d_head, rope.d_rot, batch.positions(),
                rope_.cos_sin(), rope.interleaved, pool_);
  kernels::rope(k_.data(), d_kv, m, config_.n_kv_heads, d_head, rope.d_rot, batch.positions(),
                rope_.cos_sin(), rope.interleaved, pool_);
  const kernels::AttentionRow* rows = batch.layer(layer, shape_.kv_block_floats());
  kernels::store_kv(shape_, rows, m, k_.data(), v_.data(), d_kv);
  kernels::attention(shape_, q_.data(), d_q, rows, m, mixed_.data(), d_q, pool_);
  kernels::matmul(mixed_.data(), d_q, m, w.o, nullptr, delta_.data(), d, pool_);
  kernels::add_rows(delta_.data(), m * d, x_.data(), pool_);
}

void CpuForward::begin(RaggedBatch& batch) {
  const int64_t m = batch.size();
  assert(m > 0 && m <= max_rows_);
  rope_.ensure(1 + *std::max_element(batch.positions(), batch.positions() + m));
  embed(batch);
  routing_.begin(m);
}

void CpuForward::run_layer(RaggedBatch& batch, int32_t layer) {
  const int64_t m = batch.size(), d = config_.d_model;
  const LayerWeights& w = weights_.layers[layer];
  attend(w, batch, layer);
  book(Part::attention);
  kernels::rms_norm(x_.data(), m, d, w.ffn_norm.data(), config_.norm_eps, normed_.data(), pool_);
  if (observer_) observer_(layer, normed_.data(), m);
  moe_.route(w, layer, normed_.data(), m, batch.budgets(), routing_);
  book(Part::router);
  moe_.run(w, layer, normed_.data(), m, routing_, delta_.data());
  kernels::add_rows(delta_.data(), m * d, x_.data(), pool_);
  book(Part::experts);
}

void CpuForward::run(RaggedBatch& batch, const HeadAsks& asks) {
  begin(batch);
  for (int32_t layer = 0; layer < config_.n_layers; ++layer) run_layer(batch, layer);
  asks_ = &asks;
}

void CpuForward::read_heads(const HeadConsumer& consume) {
  const int64_t d = config_.d_model, vocab = config_.vocab;
  const HeadAsks& asks = *asks_;
  asked_.resize(asks.all_tokens().size());
  for (int64_t first = 0; first < asks.size(); first += kHeadRows) {
    const int64_t m = std::min(kHeadRows, asks.size() - first);
    const auto rows = asks.rows().subspan(static_cast<size_t>(first));
    for (int64_t i = 0; i < m; ++i) {
      std::memcpy(normed_.data() + i * d, x_.data() + rows[i] * d, d * sizeof(float));
    }
    kernels::rms_norm(normed_.data(), m, d, weights_.final_norm.data(), config_.norm_eps,
                      normed_.data(), pool_);
    kernels::matmul(normed_.data(), d, m, weights_.output(), nullptr, logits_.data(), vocab, pool_);
    book(Part::head);
    pool_.parallel_for(m, [&](int64_t i, int thread) {
      const int64_t ask = first + i;
      const float* logits = logits_.data() + i * vocab;
      HeadView view;
      view.finite = all_finite(logits, vocab);
      if (view.finite) {
        const auto wants = asks.wants(ask);
        if (wants & kWantArgmax) view.argmax = static_cast<TokenId>(kernels::argmax(logits, vocab));
        if (wants & kWantNormaliser) view.log_sum_exp = kernels::log_sum_exp(logits, vocab);
        float* asked = asked_.data() + asks.first_token(ask);
        const auto tokens = asks.tokens(ask);
        for (size_t t = 0; t < tokens.size(); ++t) asked[t] = logits[tokens[t]];
        view.asked = asked;
      }
      view.logits = logits;
      consume(ask, view, thread);
    });
  }
}

}  // namespace engine
