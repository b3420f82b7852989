// Owns ModelConfig: an architecture as data. Every family is a value of it; there is one forward.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace engine {

enum class RopeScaling { none, linear, llama3 };

struct RopeConfig {
  float theta = 10000.0f;
  int64_t d_rot = 0;         // rotated dimensions of a head; d_head unless partial
  bool interleaved = false;  // pairs (2i, 2i+1): GGUF files of the llama family
  RopeScaling scaling = RopeScaling::none;
  float factor = 1.0f;
  float low_freq_factor = 1.0f, high_freq_factor = 4.0f;  // llama3
  int64_t original_context = 0;                           // llama3
  std::vector<float> frequency_factors;  // per pair divisors (GGUF rope_freqs.weight), else empty
};

// A dense feed-forward block is one expert of weight 1.
struct MoeConfig {
  int32_t n_experts = 1;
  int32_t n_shared = 0;
  int32_t trained_k = 1;
  int64_t d_expert = 0;
};

struct ModelConfig {
  std::string family;  // llama, qwen2, qwen3
  std::string name;    // as the file calls itself; may be empty
  int32_t n_layers = 0;
  int64_t d_model = 0;
  int64_t n_heads = 0, n_kv_heads = 0, d_head = 0;
  int64_t vocab = 0;
  int64_t max_tokens = 0;  // trained context length
  float norm_eps = 1e-5f;
  bool qkv_bias = false;
  bool qk_norm = false;    // RMSNorm over d_head on every q and k head, before rope (qwen3)
  bool tied_head = false;  // the head is the embedding matrix
  // Positions that a token attends to, itself included; 0 = all. max_tokens is capped at it when
  // the file is read, so that attention is full within max_tokens.
  int64_t sliding_window = 0;
  RopeConfig rope;
  MoeConfig moe;

  // Throws ModelFileError naming the field when values contradict each other
  // (bounds: research/reliability.md 4.2 point 10).
  void validate(const std::string& file) const;
};

}  // namespace engine
