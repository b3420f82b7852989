#include "engine/device/device_weights.h"

#include <fmt/format.h>

#include "engine/device/weight_upload.h"

namespace engine {
namespace {

constexpr uint64_t kAlignment = 256;

uint64_t float_bytes(int64_t n) { return static_cast<uint64_t>(n) * sizeof(float); }

uint64_t stack_bytes(const DeviceExpertStack& s) {
  return s.gate.bytes + s.up.bytes + s.down.bytes;
}

}  // namespace

uint64_t DeviceWeights::matrix_bytes(int64_t n_out, int64_t n_in) const {
  return static_cast<uint64_t>(n_out) * static_cast<uint64_t>(n_in) * (type_ == kDeviceF32 ? 4 : 2);
}

DevicePart DeviceWeights::take(uint64_t bytes) {
  const DevicePart part{total_, bytes};
  total_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return part;
}

DeviceLayer DeviceWeights::lay_out_layer() {
  const ModelConfig& c = config_;
  const MoeConfig& moe = c.moe;
  const int64_t d = c.d_model, d_q = c.n_heads * c.d_head, d_kv = c.n_kv_heads * c.d_head;
  const int64_t routed = moe.n_routed(), neurons = routed * moe.n_representatives;
  const auto matrix = [&](int64_t n_out, int64_t n_in) { return take(matrix_bytes(n_out, n_in)); };
  const auto floats = [&](int64_t n) { return take(float_bytes(n)); };
  DeviceLayer w;
  w.attn_norm = floats(d);
  w.ffn_norm = floats(d);
  w.qkv = matrix(d_q + 2 * d_kv, d);
  if (c.qkv_bias) w.qkv_bias = floats(d_q + 2 * d_kv);
  w.o = matrix(d, d_q);
  if (c.qk_norm != QkNorm::none) {
    w.q_norm = floats(c.qk_norm == QkNorm::whole ? d_q : c.d_head);
    w.k_norm = floats(c.qk_norm == QkNorm::whole ? d_kv : c.d_head);
  }
  if (moe.router == RouterKind::linear || moe.router == RouterKind::representative) {
    w.router = matrix(routed, d);
    if (c.family == "moeval_nested") w.router_bias = floats(routed);
  }
  if (moe.router == RouterKind::representative) {
    w.rep_gate = matrix(neurons, d);
    w.rep_up = matrix(neurons, d);
    w.mix = matrix(routed, neurons);
  }
  if (moe.router == RouterKind::gate_first) w.activation_scale = floats(routed * moe.d_expert);
  if (moe.shared_gate) w.shared_gate = matrix(moe.n_shared, d);
  if (moe.compensate) w.expert_means = floats(moe.n_experts * d);
  const auto stack = [&](int32_t first, int32_t n, int64_t width) {
    if (n == 0) return;
    w.stacks.push_back(
        {first, n, width, matrix(n * width, d), matrix(n * width, d), matrix(n * d, width)});
  };
  if (moe.n_shared == 0 || routed == 0 || moe.d_shared == moe.d_expert) {
    stack(0, moe.n_experts, moe.n_shared > 0 ? moe.d_shared : moe.d_expert);
  } else {
    stack(0, moe.n_shared, moe.d_shared);
    stack(moe.n_shared, moe.n_routed(), moe.d_expert);
  }
  return w;
}

DeviceWeights::DeviceWeights(const ModelConfig& config, int32_t type)
    : config_(config), type_(type) {
  embed = take(matrix_bytes(config.vocab, config.d_model));
  head = config.tied_head ? embed : take(matrix_bytes(config.vocab, config.d_model));
  final_norm = take(float_bytes(config.d_model));
  for (int32_t i = 0; i < config.n_layers; ++i) layers.push_back(lay_out_layer());
}

uint64_t DeviceWeights::bytes_used(const RoutingTrace& trace) const {
  const MoeConfig& moe = config_.moe;
  uint64_t sum = embed.bytes + (config_.tied_head ? 0 : head.bytes) + final_norm.bytes;
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    const DeviceLayer& w = layers[layer];
    for (const auto* p : {&w.attn_norm, &w.ffn_norm, &w.qkv, &w.qkv_bias, &w.o, &w.q_norm,
                          &w.k_norm, &w.shared_gate, &w.expert_means}) {
      sum += p->bytes;
    }
    bool chose = false;
    for (const DeviceExpertStack& s : w.stacks) {
      for (int32_t e = s.first; e < s.first + s.n; ++e) {
        if (trace.tokens_on(static_cast<int32_t>(layer), e) == 0) continue;
        sum += stack_bytes(s) / static_cast<uint64_t>(s.n);
        chose = chose || e >= moe.n_shared;
      }
    }
    if (!chose) continue;
    for (const auto* p :
         {&w.router, &w.router_bias, &w.rep_gate, &w.rep_up, &w.mix, &w.activation_scale}) {
      sum += p->bytes;
    }
    if (moe.router != RouterKind::gate_first) continue;
    for (const DeviceExpertStack& s : w.stacks) {  // the gates of experts that were only scored
      for (int32_t e = std::max(s.first, moe.n_shared); e < s.first + s.n; ++e) {
        const bool ran = trace.tokens_on(static_cast<int32_t>(layer), e) > 0;
        if (!ran) sum += s.gate.bytes / static_cast<uint64_t>(s.n);
      }
    }
  }
  return sum;
}

void DeviceWeights::load(const Checkpoint& checkpoint,
                         std::shared_ptr<const kernels::Device> device, kernels::ThreadPool& pool) {
  memory_ = kernels::DeviceBuffer(device, total_, "weights");
  WeightUpload upload(checkpoint, type_, memory_, std::move(device), pool);
  const ModelConfig& c = config_;
  const MoeConfig& moe = c.moe;
  const int64_t d = c.d_model, d_q = c.n_heads * c.d_head, d_kv = c.n_kv_heads * c.d_head;
  const int64_t routed = moe.n_routed(), neurons = routed * moe.n_representatives;
  upload.matrix("embed", c.vocab, d, embed.at);
  if (!c.tied_head) upload.matrix("head", c.vocab, d, head.at);
  upload.floats("final_norm", {d}, final_norm.at);
  for (int32_t layer = 0; layer < c.n_layers; ++layer) {
    const DeviceLayer& w = layers[static_cast<size_t>(layer)];
    const auto name = [&](const char* part) { return fmt::format("layers.{}.{}", layer, part); };
    const auto vector = [&](const char* part, const DevicePart& p, int64_t n) {
      if (p.bytes > 0) upload.floats(name(part), {n}, p.at);
    };
    const auto matrix = [&](const char* part, const DevicePart& p, int64_t n_out, int64_t n_in) {
      if (p.bytes > 0) upload.matrix(name(part), n_out, n_in, p.at);
    };
    vector("attn_norm", w.attn_norm, d);
    vector("ffn_norm", w.ffn_norm, d);
    upload.matrix(name("q"), d_q, d, w.qkv.at);
    upload.matrix(name("k"), d_kv, d, w.qkv.at + matrix_bytes(d_q, d));
    upload.matrix(name("v"), d_kv, d, w.qkv.at + matrix_bytes(d_q + d_kv, d));
    if (c.qkv_bias) {
      upload.floats(name("q_bias"), {d_q}, w.qkv_bias.at);
      upload.floats(name("k_bias"), {d_kv}, w.qkv_bias.at + float_bytes(d_q));
      upload.floats(name("v_bias"), {d_kv}, w.qkv_bias.at + float_bytes(d_q + d_kv));
    }
    matrix("o", w.o, d, d_q);
    const bool whole = c.qk_norm == QkNorm::whole;
    vector("q_norm", w.q_norm, whole ? d_q : c.d_head);
    vector("k_norm", w.k_norm, whole ? d_kv : c.d_head);
    matrix("router", w.router, routed, d);
    vector("router_bias", w.router_bias, routed);
    matrix("rep_gate", w.rep_gate, neurons, d);
    matrix("rep_up", w.rep_up, neurons, d);
    matrix("mix", w.mix, routed, neurons);
    matrix("shared_gate", w.shared_gate, moe.n_shared, d);
    if (w.activation_scale.bytes > 0) {
      upload.floats(name("activation_scale"), {routed, moe.d_expert}, w.activation_scale.at);
    }
    if (w.expert_means.bytes > 0) {
      upload.floats(name("expert_means"), {moe.n_experts, d}, w.expert_means.at);
    }
    for (const DeviceExpertStack& s : w.stacks) {
      for (int32_t i = 0; i < s.n; ++i) {
        const auto part = [&](const char* p) {
          return fmt::format("layers.{}.experts.{}.{}", layer, s.first + i, p);
        };
        const auto skip = static_cast<uint64_t>(i) * matrix_bytes(s.width, d);
        upload.matrix(part("gate"), s.width, d, s.gate.at + skip);
        upload.matrix(part("up"), s.width, d, s.up.at + skip);
        upload.matrix(part("down"), d, s.width, s.down.at + skip);
      }
    }
  }
  upload.finish();
}

}  // namespace engine
