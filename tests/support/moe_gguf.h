// Owns moe_gguf(): a mixture-of-experts checkpoint rewritten as GGUF, as llama.cpp's converter
// does it, in each of the layouts that experts have had in that format.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "tests/support/gguf_writer.h"

namespace support {

// One tensor for all experts; gate and up in one as well; one tensor an expert (2023).
enum class ExpertLayout { stacked, fused, separate };

inline std::vector<float> floats_of(const engine::Checkpoint& c, const std::string& canonical) {
  const engine::TensorInfo* t = c.find(canonical);
  if (!t || t->dtype != kernels::Dtype::f32) throw std::logic_error("no f32 tensor " + canonical);
  const int64_t rows = t->shape.size() == 1 ? 1 : t->shape.front();
  std::vector<float> v(static_cast<size_t>(rows * t->shape.back()));
  c.read_rows(*t, 0, rows, v.data());
  return v;
}

// Where row r of a projection of whole heads lies when pairs are interleaved (llama's converter):
// the two halves of a head alternate.
inline int64_t interleaved_row(int64_t d_head, int64_t r) {
  const int64_t i = r % d_head, half = d_head / 2;
  return r - i + (i < half ? 2 * i : 2 * (i - half) + 1);
}

inline GgufWriter moe_gguf(const engine::Checkpoint& from, ExpertLayout layout) {
  const engine::ModelConfig& c = from.config();
  const engine::MoeConfig& moe = c.moe;
  const std::map<std::string, std::string> archs = {{"mixtral", "llama"},
                                                    {"olmoe", "olmoe"},
                                                    {"qwen2_moe", "qwen2moe"},
                                                    {"qwen3_moe", "qwen3moe"}};
  const std::string arch = archs.at(c.family), a = arch + ".";
  const auto u32 = [](int64_t v) { return static_cast<uint32_t>(v); };
  GgufWriter w;
  w.add_string("general.architecture", arch);
  w.add_u32(a + "block_count", u32(c.n_layers));
  w.add_u32(a + "context_length", u32(c.max_tokens));
  w.add_u32(a + "embedding_length", u32(c.d_model));
  w.add_u32(a + "attention.head_count", u32(c.n_heads));
  w.add_u32(a + "attention.head_count_kv", u32(c.n_kv_heads));
  w.add_u32(a + "attention.key_length", u32(c.d_head));
  w.add_u32(a + "attention.value_length", u32(c.d_head));
  w.add_f32(a + "attention.layer_norm_rms_epsilon", c.norm_eps);
  w.add_f32(a + "rope.freq_base", c.rope.theta);
  w.add_u32(a + "vocab_size", u32(c.vocab));
  w.add_u32(a + "expert_count", u32(moe.n_routed()));
  w.add_u32(a + "expert_used_count", u32(moe.trained_k - moe.n_shared));
  const bool own_width = c.family == "qwen2_moe" || c.family == "qwen3_moe";
  w.add_u32(a + "feed_forward_length", u32(own_width ? 999 : moe.d_expert));
  if (own_width) w.add_u32(a + "expert_feed_forward_length", u32(moe.d_expert));
  if (moe.n_shared > 0) w.add_u32(a + "expert_shared_feed_forward_length", u32(moe.d_shared));

  const auto add = [&](const std::string& name, std::vector<uint64_t> row_major,
                       const std::vector<float>& v) {
    w.add_tensor(name, {row_major.rbegin(), row_major.rend()}, v);
  };
  const auto copy = [&](const std::string& canonical, const std::string& name) {
    const engine::TensorInfo* t = from.find(canonical);
    if (!t) return;
    add(name, {t->shape.begin(), t->shape.end()}, floats_of(from, canonical));
  };
  copy("embed", "token_embd.weight");
  copy("final_norm", "output_norm.weight");
  copy("head", "output.weight");
  for (int32_t i = 0; i < c.n_layers; ++i) {
    const std::string l = fmt::format("layers.{}.", i), b = fmt::format("blk.{}.", i);
    copy(l + "attn_norm", b + "attn_norm.weight");
    for (const char* name : {"q", "k"}) {
      const engine::TensorInfo& t = *from.find(l + name);
      const std::vector<float> v = floats_of(from, l + name);
      std::vector<float> out = v;
      if (c.family == "mixtral") {
        for (int64_t r = 0; r < t.shape[0]; ++r) {
          std::copy_n(v.begin() + r * t.shape[1], t.shape[1],
                      out.begin() + interleaved_row(c.d_head, r) * t.shape[1]);
        }
      }
      add(fmt::format("{}attn_{}.weight", b, name), {t.shape.begin(), t.shape.end()}, out);
    }
    copy(l + "v", b + "attn_v.weight");
    copy(l + "o", b + "attn_output.weight");
    for (const char* name : {"q", "k", "v"}) {
      copy(l + name + "_bias", fmt::format("{}attn_{}.bias", b, name));
    }
    copy(l + "q_norm", b + "attn_q_norm.weight");
    copy(l + "k_norm", b + "attn_k_norm.weight");
    copy(l + "ffn_norm", b + "ffn_norm.weight");
    copy(l + "router", b + "ffn_gate_inp.weight");
    if (moe.shared_gate) {
      add(b + "ffn_gate_inp_shexp.weight", {u32(c.d_model)}, floats_of(from, l + "shared_gate"));
    }
    for (const char* part : {"gate", "up", "down"}) {
      if (moe.n_shared > 0) {
        copy(fmt::format("{}experts.0.{}", l, part), fmt::format("{}ffn_{}_shexp.weight", b, part));
      }
    }
    const auto expert = [&](int32_t e, const char* part) {
      return floats_of(from, fmt::format("{}experts.{}.{}", l, moe.n_shared + e, part));
    };
    const uint64_t n = u32(moe.n_routed()), f = u32(moe.d_expert), d = u32(c.d_model);
    const auto append = [](std::vector<float>& to, const std::vector<float>& more) {
      to.insert(to.end(), more.begin(), more.end());
    };
    std::vector<float> gate, up, down, gate_up;
    for (int32_t e = 0; e < moe.n_routed(); ++e) {
      if (layout == ExpertLayout::separate) {
        add(fmt::format("{}ffn_gate.{}.weight", b, e), {f, d}, expert(e, "gate"));
        add(fmt::format("{}ffn_up.{}.weight", b, e), {f, d}, expert(e, "up"));
        add(fmt::format("{}ffn_down.{}.weight", b, e), {d, f}, expert(e, "down"));
        continue;
      }
      append(gate, expert(e, "gate"));
      append(up, expert(e, "up"));
      append(down, expert(e, "down"));
      append(gate_up, expert(e, "gate"));
      append(gate_up, expert(e, "up"));
    }
    if (layout == ExpertLayout::separate) continue;
    if (layout == ExpertLayout::fused) {
      add(b + "ffn_gate_up_exps.weight", {n, 2 * f, d}, gate_up);
    } else {
      add(b + "ffn_gate_exps.weight", {n, f, d}, gate);
      add(b + "ffn_up_exps.weight", {n, f, d}, up);
    }
    add(b + "ffn_down_exps.weight", {n, d, f}, down);
  }
  return w;
}

}  // namespace support
