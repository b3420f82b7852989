// Owns the tiny model of these tests: d 8, 2 layers, 2 heads on 1, feed-forward 12, vocabulary 6.
// Planted weights: element j of the t-th tensor is t + j / 1024.
#pragma once

#include <string>
#include <vector>

#include "tests/support/gguf_writer.h"

namespace engine::test_support {

inline std::vector<float> planted(size_t tensor, size_t n) {
  std::vector<float> v(n);
  for (size_t j = 0; j < n; ++j) v[j] = static_cast<float>(tensor) + static_cast<float>(j) / 1024;
  return v;
}

// In file order. `gguf` names, row-major shapes.
struct PlantedTensor {
  std::string name;
  std::vector<uint64_t> shape;
};

inline std::vector<PlantedTensor> tiny_tensors(bool tied = false) {
  std::vector<PlantedTensor> t = {{"token_embd.weight", {6, 8}}, {"output_norm.weight", {8}}};
  if (!tied) t.push_back({"output.weight", {6, 8}});
  for (const std::string l : {"blk.0.", "blk.1."}) {
    t.push_back({l + "attn_norm.weight", {8}});
    t.push_back({l + "attn_q.weight", {8, 8}});
    t.push_back({l + "attn_k.weight", {4, 8}});
    t.push_back({l + "attn_v.weight", {4, 8}});
    t.push_back({l + "attn_output.weight", {8, 8}});
    t.push_back({l + "ffn_norm.weight", {8}});
    t.push_back({l + "ffn_gate.weight", {12, 8}});
    t.push_back({l + "ffn_up.weight", {12, 8}});
    t.push_back({l + "ffn_down.weight", {8, 12}});
  }
  return t;
}

inline support::GgufWriter tiny_gguf(const std::string& arch = "llama", bool tied = false) {
  support::GgufWriter w;
  w.add_string("general.architecture", arch);
  w.add_string("general.name", "tiny");
  w.add_u32(arch + ".block_count", 2);
  w.add_u32(arch + ".context_length", 64);
  w.add_u32(arch + ".embedding_length", 8);
  w.add_u32(arch + ".feed_forward_length", 12);
  w.add_u32(arch + ".attention.head_count", 2);
  w.add_u32(arch + ".attention.head_count_kv", 1);
  w.add_f32(arch + ".attention.layer_norm_rms_epsilon", 1e-5f);
  w.add_f32(arch + ".rope.freq_base", 5000.0f);
  w.add_strings("tokenizer.ggml.tokens", {"a", "b", "c", "d", "e", "f"});
  w.add_array<float>("tokenizer.ggml.scores", w.f32, {0, -1, -2, -3, -4, -5});
  w.add_array<int32_t>("tokenizer.ggml.token_type", w.i32, {1, 1, 1, 1, 1, 3});
  size_t i = 0;
  for (const PlantedTensor& t : tiny_tensors(tied)) {
    uint64_t n = 1;
    for (const uint64_t d : t.shape) n *= d;
    w.add_tensor(t.name, {t.shape.rbegin(), t.shape.rend()}, planted(i++, n));
  }
  return w;
}

}  // namespace engine::test_support
