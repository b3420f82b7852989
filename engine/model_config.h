// Owns ModelConfig: an architecture as data. Every family is a value of it; there is one forward.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace engine {

// Experts that a token can run at most, shared ones included.
inline constexpr int32_t kMaxBudget = 16;

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

// How q and k are normalised before rope: not, each head (qwen3), or all heads of a row at once
// (olmoe).
enum class QkNorm : uint8_t { none, head, whole };

// What the router of a layer reads. linear: W x. The others belong to moeval_nested.
enum class RouterKind : uint8_t { none, linear, representative, gate_first, exact_norm };

// Experts 0..n_shared-1 are shared: always on. A dense block is one shared expert of weight 1.
struct MoeConfig {
  int32_t n_experts = 1;  // shared ones included
  int32_t n_shared = 1;
  int32_t trained_k = 1;  // experts run per token, shared ones included
  int64_t d_expert = 0;   // width of a routed expert
  int64_t d_shared = 0;   // width of a shared expert (in a dense model: of the block)
  RouterKind router = RouterKind::none;
  int32_t n_representatives = 0;  // neurons per routed expert that a representative router reads
  bool renormalise = false;       // weights of the chosen experts are divided by their sum
  bool shared_gate = false;       // a shared expert's output is times sigmoid(gate . x) (qwen2_moe)
  bool unit_weights = false;      // chosen experts weigh 1; scores only choose (moeval_nested)
  bool compensate = false;  // an expert left out is replaced by its mean output (moeval_nested)

  int32_t n_routed() const { return n_experts - n_shared; }
  // The largest budget: experts that one token may run.
  int32_t max_k() const { return n_experts < kMaxBudget ? n_experts : kMaxBudget; }
};

struct ModelConfig {
  std::string family;  // llama, qwen2, qwen3, mixtral, olmoe, qwen2_moe, qwen3_moe, moeval_nested
  std::string name;    // as the file calls itself; may be empty
  int32_t n_layers = 0;
  int64_t d_model = 0;
  int64_t n_heads = 0, n_kv_heads = 0, d_head = 0;
  int64_t vocab = 0;
  int64_t max_tokens = 0;  // trained context length
  float norm_eps = 1e-5f;
  bool qkv_bias = false;
  QkNorm qk_norm = QkNorm::none;
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
