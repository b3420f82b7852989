#include "engine/model_config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/engine/model_file/expect_refused.h"

namespace engine::testing {
namespace {

ModelConfig valid() {
  ModelConfig c;
  c.family = "llama";
  c.n_layers = 2;
  c.d_model = 8;
  c.n_heads = 4;
  c.n_kv_heads = 2;
  c.d_head = 4;
  c.vocab = 10;
  c.max_tokens = 64;
  c.rope.d_rot = 4;
  c.moe = {.n_experts = 8, .n_shared = 1, .trained_k = 2, .d_expert = 6, .d_shared = 6};
  return c;
}

TEST(ModelConfig, RefusesValuesThatContradictEachOther) {
  const struct {
    std::function<void(ModelConfig&)> apply;
    const char* words;
  } cases[] = {
      {[](ModelConfig& c) { c.n_layers = 0; }, "n_layers is 0, want 1 to 512"},
      {[](ModelConfig& c) { c.n_layers = 513; }, "n_layers is 513"},
      {[](ModelConfig& c) { c.n_heads = 0; }, "n_heads is 0"},
      {[](ModelConfig& c) { c.n_kv_heads = 3; }, "n_kv_heads 3 does not divide n_heads 4"},
      {[](ModelConfig& c) { c.d_head = 0; }, "d_head is 0"},
      {[](ModelConfig& c) { c.d_model = -8; }, "d_model is -8"},
      {[](ModelConfig& c) { c.vocab = int64_t{1} << 40; }, "vocab is 1099511627776"},
      {[](ModelConfig& c) { c.max_tokens = 0; }, "max_tokens is 0"},
      {[](ModelConfig& c) { c.norm_eps = std::nanf(""); }, "norm_eps is nan"},
      {[](ModelConfig& c) { c.sliding_window = 32; }, "sliding_window is 32, want 64 to"},
      {[](ModelConfig& c) { c.rope.theta = std::numeric_limits<float>::infinity(); },
       "theta is inf"},
      {[](ModelConfig& c) { c.rope.d_rot = 3; }, "rope.d_rot is 3, want an even number"},
      {[](ModelConfig& c) { c.rope.frequency_factors = {1.0f}; }, "frequency_factors is 1, want 2"},
      {[](ModelConfig& c) {
         c.rope.scaling = RopeScaling::llama3;
         c.rope.original_context = 32;
         c.rope.low_freq_factor = c.rope.high_freq_factor;
       },
       "rope.high_freq_factor is 4, want above 4"},
      {[](ModelConfig& c) { c.rope.scaling = RopeScaling::llama3; }, "rope.original_context is 0"},
      {[](ModelConfig& c) { c.moe.n_experts = 513; }, "moe.n_experts is 513"},
      {[](ModelConfig& c) { c.moe.trained_k = 9; }, "moe.trained_k is 9, want 1 to 8"},
      {[](ModelConfig& c) { c.moe.n_shared = -1; }, "moe.n_shared is -1"},
      {[](ModelConfig& c) { c.moe.d_expert = 0; }, "moe.d_expert is 0"},
  };
  EXPECT_NO_THROW(valid().validate("m.gguf"));
  for (const auto& k : cases) {
    SCOPED_TRACE(k.words);
    ModelConfig c = valid();
    k.apply(c);
    expect_refused([&] { c.validate("m.gguf"); }, "m.gguf", k.words);
  }
}

}  // namespace
}  // namespace engine::testing
