#include "engine/parameters.h"

#include <algorithm>

namespace engine {

int64_t Parameters::active(const MoeConfig& moe, int32_t k) const {
  const int32_t routed = moe.n_routed() == 0 ? k : std::max(k - moe.n_shared, 0);
  return dense + routed * per_expert;
}

Parameters count_parameters(const ModelConfig& c) {
  const MoeConfig& moe = c.moe;
  const int64_t d = c.d_model, d_q = c.n_heads * c.d_head, d_kv = c.n_kv_heads * c.d_head;
  const bool dense = moe.n_routed() == 0;
  int64_t layer = 2 * d_q * d + 2 * d_kv * d + 2 * d;
  if (c.qkv_bias) layer += d_q + 2 * d_kv;
  if (c.qk_norm == QkNorm::head) layer += 2 * c.d_head;
  if (c.qk_norm == QkNorm::whole) layer += d_q + d_kv;
  if (moe.router == RouterKind::linear) layer += moe.n_routed() * d;
  if (moe.router == RouterKind::representative) {
    const int64_t neurons = int64_t{moe.n_routed()} * moe.n_representatives;
    layer += moe.n_routed() * (d + neurons) + 2 * neurons * d;
  }
  const bool biased = moe.router == RouterKind::linear || moe.router == RouterKind::representative;
  if (c.family == "moeval_nested" && biased) layer += moe.n_routed();
  if (moe.router == RouterKind::gate_first) layer += moe.n_routed() * moe.d_expert;
  if (moe.compensate) layer += moe.n_experts * d;
  if (moe.shared_gate) layer += moe.n_shared * d;
  if (!dense) layer += moe.n_shared * 3 * d * moe.d_shared;
  Parameters p;
  p.per_expert = c.n_layers * 3 * d * (dense ? moe.d_shared : moe.d_expert);
  p.dense = c.n_layers * layer + c.vocab * d * (c.tied_head ? 1 : 2) + d;
  p.total = p.dense + (dense ? moe.n_experts : moe.n_routed()) * p.per_expert;
  return p;
}

}  // namespace engine
