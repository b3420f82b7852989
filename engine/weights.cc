#include "engine/weights.h"

#include <fmt/format.h>

#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>

#include "engine/model_file_error.h"
#include "kernels/dtype.h"

namespace engine {
namespace {

using kernels::Dtype;

bool finite16(const std::byte* p, uint16_t exponent_mask) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return (bits & exponent_mask) != exponent_mask;
}

constexpr uint16_t kHalfExponent = 0x7c00, kBfloatExponent = 0x7f80;

// Are the scales of a quantised row, or the elements of another one, finite? Offsets of the fp16
// scales in a block: ggml-common.h.
bool row_is_finite(Dtype dtype, const std::byte* row, int64_t n) {
  const int64_t blocks = n / kernels::block_elements(dtype), size = kernels::block_bytes(dtype);
  const auto all = [&](auto&& ok) {
    for (int64_t i = 0; i < blocks; ++i) {
      if (!ok(row + i * size)) return false;
    }
    return true;
  };
  switch (dtype) {
    case Dtype::f32:
      return all([](const std::byte* p) { return finite16(p + 2, kBfloatExponent); });
    case Dtype::bf16:
      return all([](const std::byte* p) { return finite16(p, kBfloatExponent); });
    case Dtype::f16:
    case Dtype::q8_0:
    case Dtype::q4_0:
    case Dtype::q5_0:
      return all([](const std::byte* p) { return finite16(p, kHalfExponent); });
    case Dtype::q4_1:
    case Dtype::q5_1:
    case Dtype::q4_k:
    case Dtype::q5_k:
      return all([](const std::byte* p) {
        return finite16(p, kHalfExponent) && finite16(p + 2, kHalfExponent);
      });
    case Dtype::q6_k:
      return all([&](const std::byte* p) { return finite16(p + size - 2, kHalfExponent); });
  }
  return false;
}

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, kernels::ThreadPool& pool)
      : checkpoint_(checkpoint), pool_(pool) {
    for (const TensorInfo& t : checkpoint.tensors()) by_name_.emplace(t.name, &t);
  }

  kernels::PackedMatrix matrix(const std::string& name, int64_t n_out, int64_t n_in) const {
    const TensorInfo& info = require(name, {n_out, n_in});
    if (n_in % kernels::block_elements(info.dtype) != 0) {
      throw ModelFileError(fmt::format("{}: tensor {}: rows of {} elements do not fill {} blocks",
                                       checkpoint_.path().string(), info.stored_name, n_in,
                                       kernels::dtype_name(info.dtype)));
    }
    return kernels::PackedMatrix::pack(
        info.dtype, n_out, n_in, [&](int64_t row, void* dst) { read(info, row, n_in, dst); },
        pool_);
  }

  std::vector<float> vector(const std::string& name, int64_t n) const {
    return values(require(name, {n}), 1, n);
  }

  std::vector<float> floats(const std::string& name, int64_t rows, int64_t n) const {
    return values(require(name, {rows, n}), rows, n);
  }

 private:
  std::vector<float> values(const TensorInfo& info, int64_t rows, int64_t n) const {
    if (n % kernels::block_elements(info.dtype) != 0) {
      throw ModelFileError(fmt::format("{}: tensor {}: {} elements do not fill {} blocks",
                                       checkpoint_.path().string(), info.stored_name, n,
                                       kernels::dtype_name(info.dtype)));
    }
    std::vector<std::byte> stored(kernels::row_bytes(info.dtype, n));
    std::vector<float> out(rows * n);
    for (int64_t i = 0; i < rows; ++i) {
      read(info, i, n, stored.data());
      kernels::dequantise_row(info.dtype, stored.data(), out.data() + i * n, n);
    }
    return out;
  }

  const TensorInfo& require(const std::string& name, const std::vector<int64_t>& shape) const {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) {
      throw ModelFileError(
          fmt::format("{}: tensor {} is missing", checkpoint_.path().string(), name));
    }
    const TensorInfo* info = found->second;
    if (info->shape != shape) {
      throw ModelFileError(fmt::format("{}: tensor {}: shape is [{}], want [{}]",
                                       checkpoint_.path().string(), info->stored_name,
                                       fmt::join(info->shape, ", "), fmt::join(shape, ", ")));
    }
    return *info;
  }

  void read(const TensorInfo& info, int64_t row, int64_t n, void* dst) const {
    checkpoint_.read_rows(info, row, 1, dst);
    if (!row_is_finite(info.dtype, static_cast<const std::byte*>(dst), n)) {
      throw ModelFileError(fmt::format("{}: tensor {}: row {} holds a NaN or an infinity",
                                       checkpoint_.path().string(), info.stored_name,
                                       info.first_row + row));
    }
  }

  const Checkpoint& checkpoint_;
  kernels::ThreadPool& pool_;
  std::unordered_map<std::string_view, const TensorInfo*> by_name_;  // tens of thousands of experts
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
