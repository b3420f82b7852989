#include "engine/weights.h"

#include <fmt/format.h>

#include <string>

#include "engine/tensor_reader.h"

namespace engine {
namespace {

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, kernels::ThreadPool& pool)
      : reader_(checkpoint), pool_(pool) {}

  kernels::PackedMatrix matrix(const std::string& name, int64_t n_out, int64_t n_in) const {
    const TensorInfo& info = reader_.matrix(name, n_out, n_in);
    return kernels::PackedMatrix::pack(
        info.dtype, n_out, n_in, [&](int64_t row, void* dst) { reader_.read_row(info, row, dst); },
        pool_);
  }
  std::vector<float> vector(const std::string& name, int64_t n) const {
    return reader_.vector(name, n);
  }
  std::vector<float> floats(const std::string& name, int64_t rows, int64_t n) const {
    return reader_.floats(name, rows, n);
  }

 private:
  const TensorReader reader_;
  kernels::ThreadPool& pool_;
};

void load_router(const Loader& loader, const ModelConfig& c, int32_t layer, Router& router) {
  const MoeConfig& moe = c.moe;
  const auto name = [&](const char* part) { return fmt::format("layers.{}.{}", layer, part); };
  const int64_t d = c.d_model, routed = moe.n_routed(), neurons = routed * moe.n_representatives;
  if (moe.router == RouterKind::linear || moe.router == RouterKind::representative) {
    router.weight = loader.matrix(name("router"), routed, d);
    if (c.family == "moeval_nested") router.bias = loader.vector(name("router_bias"), routed);
  }
  if (moe.router == RouterKind::representative) {
    router.rep_gate = loader.matrix(name("rep_gate"), neurons, d);
    router.rep_up = loader.matrix(name("rep_up"), neurons, d);
    router.mix = loader.matrix(name("mix"), routed, neurons);
  }
  if (moe.router == RouterKind::gate_first) {
    router.activation_scale = loader.floats(name("activation_scale"), routed, moe.d_expert);
  }
  if (moe.shared_gate) {
    router.shared_gate = loader.matrix(name("shared_gate"), moe.n_shared, d);
  }
}

LayerWeights load_layer(const Loader& loader, const ModelConfig& c, int32_t layer) {
  const auto name = [&](const char* part) { return fmt::format("layers.{}.{}", layer, part); };
  const int64_t d_q = c.n_heads * c.d_head, d_kv = c.n_kv_heads * c.d_head;
  LayerWeights w;
  w.attn_norm = loader.vector(name("attn_norm"), c.d_model);
  w.q = loader.matrix(name("q"), d_q, c.d_model);
  w.k = loader.matrix(name("k"), d_kv, c.d_model);
  w.v = loader.matrix(name("v"), d_kv, c.d_model);
  w.o = loader.matrix(name("o"), c.d_model, d_q);
  if (c.qkv_bias) {
    w.q_bias = loader.vector(name("q_bias"), d_q);
    w.k_bias = loader.vector(name("k_bias"), d_kv);
    w.v_bias = loader.vector(name("v_bias"), d_kv);
  }
  if (c.qk_norm != QkNorm::none) {
    const bool whole = c.qk_norm == QkNorm::whole;
    w.q_norm = loader.vector(name("q_norm"), whole ? d_q : c.d_head);
    w.k_norm = loader.vector(name("k_norm"), whole ? d_kv : c.d_head);
  }
  w.ffn_norm = loader.vector(name("ffn_norm"), c.d_model);
  load_router(loader, c, layer, w.router);
  if (c.moe.compensate) {
    w.expert_means = loader.floats(name("expert_means"), c.moe.n_experts, c.d_model);
  }
  for (int32_t e = 0; e < c.moe.n_experts; ++e) {
    const int64_t width = e < c.moe.n_shared ? c.moe.d_shared : c.moe.d_expert;
    const auto part = [&](const char* p) {
      return fmt::format("layers.{}.experts.{}.{}", layer, e, p);
    };
    w.experts.push_back({loader.matrix(part("gate"), width, c.d_model),
                         loader.matrix(part("up"), width, c.d_model),
                         loader.matrix(part("down"), c.d_model, width)});
  }
  return w;
}

uint64_t float_bytes(const std::vector<float>& v) { return v.size() * sizeof(float); }

uint64_t expert_bytes(const Expert& e) { return e.gate.bytes() + e.up.bytes() + e.down.bytes(); }

// Of what scores the routed experts.
uint64_t router_bytes(const Router& r) {
  return r.weight.bytes() + float_bytes(r.bias) + r.rep_gate.bytes() + r.rep_up.bytes() +
         r.mix.bytes() + float_bytes(r.activation_scale);
}

// Of a layer without its experts and what scores them.
uint64_t dense_bytes(const LayerWeights& w) {
  uint64_t sum = float_bytes(w.expert_means) + w.router.shared_gate.bytes();
  for (const auto* m : {&w.q, &w.k, &w.v, &w.o}) sum += m->bytes();
  for (const auto* v :
       {&w.attn_norm, &w.ffn_norm, &w.q_bias, &w.k_bias, &w.v_bias, &w.q_norm, &w.k_norm}) {
    sum += float_bytes(*v);
  }
  return sum;
}

}  // namespace

uint64_t Weights::bytes() const {
  uint64_t sum = embed.bytes() + head.bytes() + float_bytes(final_norm);
  for (const LayerWeights& w : layers) {
    sum += dense_bytes(w) + router_bytes(w.router);
    for (const Expert& e : w.experts) sum += expert_bytes(e);
  }
  return sum;
}

uint64_t Weights::bytes_used(const RoutingTrace& trace, const MoeConfig& moe) const {
  uint64_t sum = embed.bytes() + head.bytes() + float_bytes(final_norm);
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    const LayerWeights& w = layers[layer];
    const auto ran = [&](int32_t expert) {
      return trace.tokens_on(static_cast<int32_t>(layer), expert) > 0;
    };
    bool chose = false;  // a token that may choose runs a routed expert at least
    for (int32_t e = moe.n_shared; e < moe.n_experts; ++e) chose = chose || ran(e);
    sum += dense_bytes(w) + (chose ? router_bytes(w.router) : 0);
    for (int32_t e = 0; e < moe.n_experts; ++e) {
      const bool scored = chose && e >= moe.n_shared;
      if (ran(e) || (scored && moe.router == RouterKind::exact_norm)) {
        sum += expert_bytes(w.experts[e]);
      } else if (scored && moe.router == RouterKind::gate_first) {
        sum += w.experts[e].gate.bytes();
      }
    }
  }
  return sum;
}

Weights load_weights(const Checkpoint& checkpoint, kernels::ThreadPool& pool) {
  const ModelConfig& c = checkpoint.config();
  const Loader loader(checkpoint, pool);
  Weights w;
  w.embed = loader.matrix("embed", c.vocab, c.d_model);
  if (!c.tied_head) w.head = loader.matrix("head", c.vocab, c.d_model);
  w.final_norm = loader.vector("final_norm", c.d_model);
  for (int32_t i = 0; i < c.n_layers; ++i) w.layers.push_back(load_layer(loader, c, i));
  return w;
}

}  // namespace engine
