#include "engine/model_config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "engine/parameters.h"
#include "tests/engine/model_file/expect_refused.h"

namespace engine::test_support {
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
  c.moe = {.n_experts = 8, .n_shared = 1, .trained_k = 2, .d_expert = 6, .d_shared = 5};
  c.moe.router = RouterKind::linear;
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
      {[](ModelConfig& c) { c.moe.n_shared = 9; }, "moe.n_shared is 9, want 0 to 8"},
      {[](ModelConfig& c) { c.moe.d_expert = 0; }, "moe.d_expert is 0"},
      {[](ModelConfig& c) { c.moe.d_shared = 0; }, "moe.d_shared is 0"},
      {[](ModelConfig& c) { c.moe.router = RouterKind::none; }, "moe.router is 0, want 1 to 4"},
      {[](ModelConfig& c) { c.moe.router = RouterKind::representative; },
       "moe.n_representatives is 0, want 1 to 6"},
      {[](ModelConfig& c) {
         c.moe.n_experts = 64;
         c.moe.trained_k = 17;
       },
       "moe.trained_k is 17, want 1 to 16"},
  };
  EXPECT_NO_THROW(valid().validate("m.gguf"));
  for (const auto& k : cases) {
    SCOPED_TRACE(k.words);
    ModelConfig c = valid();
    k.apply(c);
    expect_refused([&] { c.validate("m.gguf"); }, "m.gguf", k.words);
  }
}

// The two published figures: 46.7 B in all, 12.9 B met by a token (arXiv 2401.04088, section 1).
TEST(ModelConfig, CountsTheParametersOfMixtral) {
  ModelConfig c;
  c.family = "mixtral";
  c.n_layers = 32;
  c.d_model = 4096;
  c.n_heads = 32;
  c.n_kv_heads = 8;
  c.d_head = 128;
  c.vocab = 32000;
  c.max_tokens = 32768;
  c.rope.d_rot = 128;
  c.moe = {.n_experts = 8, .n_shared = 0, .trained_k = 2, .d_expert = 14336};
  c.moe.router = RouterKind::linear;
  c.validate("mixtral");
  const Parameters p = count_parameters(c);
  EXPECT_EQ(p.total, 46'702'792'704);
  EXPECT_EQ(p.active(c.moe, c.moe.trained_k), 12'879'925'248);
  EXPECT_EQ(p.active(c.moe, 8), p.total);
}

TEST(ModelConfig, CountsSharedExpertsAsAlwaysActive) {
  const ModelConfig c = valid();  // 1 shared of width 5, 7 routed of width 6, d_model 8, 2 layers
  const Parameters p = count_parameters(c);
  EXPECT_EQ(p.per_expert, 2 * 3 * 8 * 6);
  EXPECT_EQ(p.total - 7 * p.per_expert, p.dense);
  EXPECT_EQ(p.active(c.moe, 3) - p.active(c.moe, 1), 2 * p.per_expert);
  EXPECT_EQ(p.active(c.moe, 1), p.dense);
  EXPECT_EQ(p.active(c.moe, 8), p.total);
}

}  // namespace
}  // namespace engine::test_support
