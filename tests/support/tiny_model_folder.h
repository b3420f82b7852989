// Owns write_tiny_model: a Hugging Face folder with a random llama of a few kilobytes and a
// tokenizer of single bytes, enough to drive the whole program.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/safetensors_writer.h"

namespace support {

// GPT-2's table of printable stand-ins: byte -> code point.
inline uint32_t byte_stand_in(int byte) {
  const auto printable = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  };
  if (printable(byte)) return static_cast<uint32_t>(byte);
  uint32_t n = 256;
  for (int b = 0; b < byte; ++b)
    if (!printable(b)) ++n;
  return n;
}

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string byte_tokenizer_json() {
  std::string vocab;
  for (int b = 0; b < 256; ++b)
    vocab += fmt::format("{}\"\\u{:04x}\": {}", b ? ", " : "", byte_stand_in(b), b);
  return fmt::format(
      R"({{"version": "1.0", "truncation": null, "padding": null,
"added_tokens": [{{"id": 256, "content": "<|endoftext|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}}],
"normalizer": null,
"pre_tokenizer": {{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}},
"post_processor": null,
"decoder": {{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}},
"model": {{"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": {{{}, "<|endoftext|>": 256}}, "merges": []}}}})",
      vocab);
}

struct TinyModel {
  uint64_t seed = 1;          // two folders of one seed are byte-identical
  int n_experts = 0;          // 0: a dense llama; else a mixtral of so many experts, 4 trained
  float router_scale = 1.0f;  // of the router's weights; 1e38 makes its scores overflow
};

inline void write_tiny_model(const std::filesystem::path& folder, const TinyModel& tiny) {
  std::filesystem::create_directories(folder);
  constexpr int kVocab = 257, kModel = 32, kHidden = 48, kLayers = 2, kHeads = 4, kKv = 2;
  constexpr int kHead = kModel / kHeads;
  write_file(folder / "config.json",
             fmt::format(R"({{{}
"hidden_size": {}, "intermediate_size": {}, "num_hidden_layers": {}, "num_attention_heads": {},
"num_key_value_heads": {}, "vocab_size": {}, "max_position_embeddings": 8192,
"rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true, "hidden_act": "silu",
"attention_bias": false, "mlp_bias": false, "torch_dtype": "float32",
"bos_token_id": 256, "eos_token_id": 256}})",
                         tiny.n_experts == 0
                             ? R"("architectures": ["LlamaForCausalLM"], "model_type": "llama",)"
                             : fmt::format(R"("architectures": ["MixtralForCausalLM"],
"model_type": "mixtral", "num_local_experts": {}, "num_experts_per_tok": 4,)",
                                           tiny.n_experts),
                         kModel, kHidden, kLayers, kHeads, kKv, kVocab));
  write_file(folder / "tokenizer.json", byte_tokenizer_json());
  write_file(folder / "tokenizer_config.json",
             R"({"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>"})");
  uint64_t state = tiny.seed;
  const auto uniform = [&state] {  // in (-1, 1)
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<float>(static_cast<int64_t>(state) >> 40) / static_cast<float>(1 << 23);
  };
  SafetensorsWriter writer;
  const auto add = [&](const std::string& name, int rows, int columns, float centre, float scale) {
    std::string bytes;
    for (int i = 0; i < std::max(rows, 1) * columns; ++i) {
      const float value = centre + scale * uniform();
      char raw_value[4];
      std::memcpy(raw_value, &value, 4);
      bytes.append(raw_value, 4);
    }
    writer.add(name, "F32",
               rows == 0 ? fmt::format("[{}]", columns) : fmt::format("[{}, {}]", rows, columns),
               bytes);
  };
  add("model.embed_tokens.weight", kVocab, kModel, 0, 1.0f);
  for (int l = 0; l < kLayers; ++l) {
    const auto name = [l](const char* part) {
      return fmt::format("model.layers.{}.{}.weight", l, part);
    };
    add(name("input_layernorm"), 0, kModel, 1, 0.1f);
    add(name("self_attn.q_proj"), kHeads * kHead, kModel, 0, 0.3f);
    add(name("self_attn.k_proj"), kKv * kHead, kModel, 0, 0.3f);
    add(name("self_attn.v_proj"), kKv * kHead, kModel, 0, 0.3f);
    add(name("self_attn.o_proj"), kModel, kHeads * kHead, 0, 0.3f);
    add(name("post_attention_layernorm"), 0, kModel, 1, 0.1f);
    if (tiny.n_experts == 0) {
      add(name("mlp.gate_proj"), kHidden, kModel, 0, 0.3f);
      add(name("mlp.up_proj"), kHidden, kModel, 0, 0.3f);
      add(name("mlp.down_proj"), kModel, kHidden, 0, 0.3f);
      continue;
    }
    add(name("block_sparse_moe.gate"), tiny.n_experts, kModel, 0, tiny.router_scale);
    for (int e = 0; e < tiny.n_experts; ++e) {
      const auto expert = [&](const char* part) {
        return name(fmt::format("block_sparse_moe.experts.{}.{}", e, part).c_str());
      };
      add(expert("w1"), kHidden, kModel, 0, 0.3f);
      add(expert("w3"), kHidden, kModel, 0, 0.3f);
      add(expert("w2"), kModel, kHidden, 0, 0.3f);
    }
  }
  add("model.norm.weight", 0, kModel, 1, 0.1f);
  write_file(folder / "model.safetensors", writer.bytes());
}

inline void write_tiny_model(const std::filesystem::path& folder, uint64_t seed = 1) {
  write_tiny_model(folder, TinyModel{.seed = seed});
}

}  // namespace support
