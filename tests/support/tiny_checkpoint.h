// A small random model in memory, in any stored type, for tests of the engine.
#pragma once

#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "kernels/dtype.h"

namespace test_support {

// Round-to-zero conversion of a finite value of normal fp16 range.
inline uint16_t to_half(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const int32_t exponent = static_cast<int32_t>(bits >> 23 & 255u) - 112;
  if (exponent <= 0) return static_cast<uint16_t>(sign);
  return static_cast<uint16_t>(sign | static_cast<uint32_t>(exponent) << 10 |
                               (bits >> 13 & 0x3ffu));
}

inline engine::ModelConfig tiny_config(std::string family = "llama") {
  engine::ModelConfig c;
  c.family = family;
  c.name = "tiny";
  c.n_layers = 2;
  c.d_model = 64;
  c.n_heads = 4;
  c.n_kv_heads = 2;
  c.d_head = 16;
  c.vocab = 97;
  c.max_tokens = 256;
  c.qkv_bias = family == "qwen2";
  c.qk_norm = family == "qwen3" ? engine::QkNorm::head : engine::QkNorm::none;
  c.tied_head = family == "qwen3";
  c.rope.d_rot = 16;
  c.moe.d_shared = 96;
  return c;
}

// A mixture of experts: n_routed of width 32 and n_shared of width 64, renormalised.
inline engine::ModelConfig tiny_moe_config(int32_t n_routed = 12, int32_t n_shared = 0,
                                           int32_t trained_k = 4) {
  engine::ModelConfig c = tiny_config("mixtral");
  c.moe = {.n_experts = n_routed + n_shared,
           .n_shared = n_shared,
           .trained_k = trained_k,
           .d_expert = 32,
           .d_shared = 64,
           .router = engine::RouterKind::linear,
           .renormalise = true,
           .shared_gate = n_shared > 0};
  return c;
}

// A converted model: 16 experts of width 8, two of them shared.
inline engine::ModelConfig tiny_nested_config(engine::RouterKind router, int32_t n_shared = 2,
                                              bool compensate = true) {
  engine::ModelConfig c = tiny_config("moeval_nested");
  c.moe = {.n_experts = 16,
           .n_shared = n_shared,
           .trained_k = 16,
           .d_expert = 8,
           .d_shared = 8,
           .router = router,
           .n_representatives = router == engine::RouterKind::representative ? 2 : 0,
           .unit_weights = true,
           .compensate = compensate};
  return c;
}

class TinyCheckpoint : public engine::Checkpoint {
 public:
  // Matrices are stored in `dtype`, vectors and routers of moeval_nested in f32; products have a
  // variance of about one.
  explicit TinyCheckpoint(engine::ModelConfig config = tiny_config(),
                          kernels::Dtype dtype = kernels::Dtype::f32, uint64_t seed = 1)
      : config_(std::move(config)), dtype_(dtype), random_(seed) {
    const int64_t d = config_.d_model, d_q = config_.n_heads * config_.d_head;
    const int64_t d_kv = config_.n_kv_heads * config_.d_head;
    matrix("embed", config_.vocab, d);
    if (!config_.tied_head) matrix("head", config_.vocab, d);
    vector("final_norm", d, 1.0f);
    for (int32_t i = 0; i < config_.n_layers; ++i) {
      const std::string layer = "layers." + std::to_string(i) + ".";
      vector(layer + "attn_norm", d, 1.0f);
      matrix(layer + "q", d_q, d);
      matrix(layer + "k", d_kv, d);
      matrix(layer + "v", d_kv, d);
      matrix(layer + "o", d, d_q);
      if (config_.qkv_bias) {
        vector(layer + "q_bias", d_q, 0.0f);
        vector(layer + "k_bias", d_kv, 0.0f);
        vector(layer + "v_bias", d_kv, 0.0f);
      }
      if (config_.qk_norm != engine::QkNorm::none) {
        const bool whole = config_.qk_norm == engine::QkNorm::whole;
        vector(layer + "q_norm", whole ? d_q : config_.d_head, 1.0f);
        vector(layer + "k_norm", whole ? d_kv : config_.d_head, 1.0f);
      }
      vector(layer + "ffn_norm", d, 1.0f);
      const engine::MoeConfig& moe = config_.moe;
      if (config_.family == "moeval_nested") {
        nested_router(layer);
      } else if (moe.router == engine::RouterKind::linear) {
        matrix(layer + "router", moe.n_routed(), d);
      }
      if (moe.compensate) rows(layer + "expert_means", moe.n_experts, d, 0.3f);
      if (moe.shared_gate) matrix(layer + "shared_gate", moe.n_shared, d);
      for (int32_t e = 0; e < moe.n_experts; ++e) {
        const std::string expert = layer + "experts." + std::to_string(e) + ".";
        const int64_t width = e < moe.n_shared ? moe.d_shared : moe.d_expert;
        matrix(expert + "gate", width, d);
        matrix(expert + "up", width, d);
        matrix(expert + "down", d, width);
      }
    }
  }

  // Changes the elements of an f32 tensor: value = change(row, column, value).
  void change(const std::string& name,
              const std::function<float(int64_t row, int64_t column, float value)>& change) {
    const engine::TensorInfo& info = *find(name);
    const int64_t columns = info.shape.back();
    std::vector<std::byte>& bytes = data_.at(name);
    for (int64_t i = 0; i < static_cast<int64_t>(bytes.size() / sizeof(float)); ++i) {
      float value;
      std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
      value = change(i / columns, i % columns, value);
      std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
    }
  }
  std::vector<std::byte>& bytes(const std::string& name) { return data_.at(name); }
  engine::ModelConfig& config() { return config_; }
  void remove(const std::string& name) {
    std::erase_if(tensors_, [&](const engine::TensorInfo& t) { return t.name == name; });
  }

  const engine::ModelConfig& config() const override { return config_; }
  const std::filesystem::path& path() const override { return path_; }
  const std::vector<engine::TensorInfo>& tensors() const override { return tensors_; }
  void read_rows(const engine::TensorInfo& info, int64_t first, int64_t n,
                 void* dst) const override {
    const int64_t row = kernels::row_bytes(info.dtype, info.shape.back());
    std::memcpy(dst, data_.at(info.name).data() + first * row, static_cast<size_t>(n * row));
  }
  std::vector<std::filesystem::path> files() const override { return {}; }

 private:
  float uniform(float half_width) {
    return std::uniform_real_distribution<float>(-half_width, half_width)(random_);
  }

  void add(const std::string& name, kernels::Dtype dtype, std::vector<int64_t> shape) {
    int64_t rows = 1;
    for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
    data_[name].resize(static_cast<size_t>(rows * kernels::row_bytes(dtype, shape.back())));
    tensors_.push_back({name, name, dtype, std::move(shape)});
  }

  // As RouterFit of a conversion leaves it; static_order is a linear one that a test changes.
  void nested_router(const std::string& layer) {
    const engine::MoeConfig& moe = config_.moe;
    const int64_t d = config_.d_model, n = moe.n_routed(), neurons = n * moe.n_representatives;
    if (moe.router == engine::RouterKind::exact_norm) return;
    if (moe.router == engine::RouterKind::gate_first) {
      return rows(layer + "activation_scale", n, moe.d_expert, 0.4f);
    }
    rows(layer + "router", n, d, 0.2f);
    vector(layer + "router_bias", n, 0.0f);
    if (moe.router != engine::RouterKind::representative) return;
    rows(layer + "rep_gate", neurons, d, 0.2f);
    rows(layer + "rep_up", neurons, d, 0.2f);
    rows(layer + "mix", n, neurons, 0.4f);
  }

  void rows(const std::string& name, int64_t n, int64_t columns, float half_width) {
    add(name, kernels::Dtype::f32, {n, columns});
    change(name, [&](int64_t, int64_t, float) { return uniform(half_width); });
  }

  void vector(const std::string& name, int64_t n, float mean) {
    add(name, kernels::Dtype::f32, {n});
    change(name, [&](int64_t, int64_t, float) { return mean + uniform(0.3f); });
  }

  void matrix(const std::string& name, int64_t n_out, int64_t n_in) {
    add(name, dtype_, {n_out, n_in});
    const float deviation = 1.0f / std::sqrt(static_cast<float>(n_in));
    std::vector<std::byte>& bytes = data_.at(name);
    if (dtype_ == kernels::Dtype::f32) {
      change(name, [&](int64_t, int64_t, float) { return uniform(1.7f * deviation); });
      return;
    }
    for (std::byte& b : bytes) b = static_cast<std::byte>(random_() & 255u);
    const auto put = [&](size_t at, uint16_t v) { std::memcpy(bytes.data() + at, &v, sizeof v); };
    const auto size = static_cast<size_t>(kernels::block_bytes(dtype_));
    for (size_t at = 0; at < bytes.size(); at += size) {
      using kernels::Dtype;
      switch (dtype_) {
        case Dtype::f32:
          break;
        case Dtype::f16:
          put(at, to_half(uniform(1.7f * deviation)));
          break;
        case Dtype::bf16: {
          const float value = uniform(1.7f * deviation);
          uint32_t bits;
          std::memcpy(&bits, &value, sizeof bits);
          put(at, static_cast<uint16_t>(bits >> 16));
          break;
        }
        case Dtype::q8_0:
          put(at, to_half(deviation / 74));
          break;
        case Dtype::q4_0:
          put(at, to_half(deviation / 4.6f));
          break;
        case Dtype::q4_1:
          put(at, to_half(deviation / 4.6f));
          put(at + 2, to_half(-7.5f * deviation / 4.6f));
          break;
        case Dtype::q5_0:
          put(at, to_half(deviation / 9.2f));
          break;
        case Dtype::q5_1:
          put(at, to_half(deviation / 9.2f));
          put(at + 2, to_half(-15.5f * deviation / 9.2f));
          break;
        case Dtype::q4_k:
          put(at, to_half(deviation / (4.6f * 32)));
          put(at + 2, to_half(7.5f * deviation / (4.6f * 32)));
          break;
        case Dtype::q5_k:
          put(at, to_half(deviation / (9.2f * 32)));
          put(at + 2, to_half(15.5f * deviation / (9.2f * 32)));
          break;
        case Dtype::q6_k:
          put(at + size - 2, to_half(deviation / (18 * 74)));
          break;
      }
    }
  }

  engine::ModelConfig config_;
  const kernels::Dtype dtype_;
  std::mt19937_64 random_;
  const std::filesystem::path path_ = "tiny";
  std::vector<engine::TensorInfo> tensors_;
  std::map<std::string, std::vector<std::byte>> data_;
};

}  // namespace test_support
