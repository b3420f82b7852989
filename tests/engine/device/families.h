// Tiny models of every family and of every shape of a layer that the engine knows.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "tests/support/tiny_checkpoint.h"

namespace device_case {

using engine::ModelConfig;
using engine::QkNorm;
using engine::RouterKind;

struct Family {
  std::string name;
  ModelConfig config;
  friend void PrintTo(const Family& f, std::ostream* out) { *out << f.name; }
};

inline ModelConfig as(ModelConfig c, const std::string& family) {
  c.family = family;
  return c;
}

inline std::vector<Family> dense_families() {
  using test_support::tiny_config;
  std::vector<Family> all;
  all.push_back({"llama", tiny_config()});
  all.push_back({"llama_interleaved_partial_rope", tiny_config()});
  all.back().config.rope.interleaved = true;
  all.back().config.rope.d_rot = 8;
  all.push_back({"llama_partial_rope", tiny_config()});
  all.back().config.rope.d_rot = 12;
  all.push_back({"llama_one_kv_head", tiny_config()});
  all.back().config.n_kv_heads = 1;
  all.push_back({"qwen2", tiny_config("qwen2")});
  all.push_back({"qwen3", tiny_config("qwen3")});
  return all;
}

inline std::vector<Family> sparse_families() {
  using test_support::tiny_moe_config;
  std::vector<Family> all;
  all.push_back({"mixtral", tiny_moe_config(8, 0, 2)});
  all.push_back({"olmoe", as(tiny_moe_config(24, 0, 6), "olmoe")});
  all.back().config.moe.renormalise = false;
  all.back().config.qk_norm = QkNorm::whole;
  all.push_back({"qwen2_moe", as(tiny_moe_config(12, 1, 4), "qwen2_moe")});
  all.back().config.moe.renormalise = false;
  all.back().config.qkv_bias = true;
  all.push_back({"qwen2_moe_two_shared", as(tiny_moe_config(12, 2, 4), "qwen2_moe")});
  all.push_back({"qwen2_moe_one_width", as(tiny_moe_config(12, 2, 4), "qwen2_moe")});
  all.back().config.moe.d_shared = 32;
  all.push_back({"qwen3_moe", as(tiny_moe_config(70, 0, 8), "qwen3_moe")});
  all.back().config.qk_norm = QkNorm::head;
  all.back().config.tied_head = true;
  return all;
}

inline std::vector<Family> nested_families() {
  using test_support::tiny_nested_config;
  std::vector<Family> all;
  all.push_back({"nested_linear", tiny_nested_config(RouterKind::linear)});
  all.push_back({"nested_nothing_shared", tiny_nested_config(RouterKind::linear, 0, false)});
  all.push_back({"nested_representative", tiny_nested_config(RouterKind::representative)});
  all.push_back({"nested_gate_first", tiny_nested_config(RouterKind::gate_first)});
  all.push_back({"nested_gate_first_alone", tiny_nested_config(RouterKind::gate_first, 0)});
  all.push_back({"nested_gate_first_wide", tiny_nested_config(RouterKind::gate_first, 2, false)});
  all.back().config.moe.d_shared = 24;
  return all;
}

inline std::vector<Family> families() {
  std::vector<Family> all = dense_families();
  for (const Family& f : sparse_families()) all.push_back(f);
  for (const Family& f : nested_families()) all.push_back(f);
  return all;
}

}  // namespace device_case
