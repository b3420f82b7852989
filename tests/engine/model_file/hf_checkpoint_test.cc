#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "tests/engine/model_file/expect_refused.h"
#include "tests/engine/model_file/tiny_model.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"

namespace engine::test_support {
namespace {

using nlohmann::json;
using support::raw;
using support::SafetensorsWriter;

json tiny_config() {
  return {{"model_type", "llama"},    {"hidden_size", 8},         {"num_hidden_layers", 1},
          {"num_attention_heads", 2}, {"num_key_value_heads", 1}, {"intermediate_size", 12},
          {"vocab_size", 6},          {"rms_norm_eps", 1e-6},     {"max_position_embeddings", 64},
          {"rope_theta", 5000},       {"hidden_act", "silu"},     {"tie_word_embeddings", false}};
}

struct Weight {
  std::string name, shape, dtype;
  size_t n;
};

std::vector<Weight> tiny_weights() {
  const std::string l = "model.layers.0.";
  return {{"model.embed_tokens.weight", "[6,8]", "F32", 48},
          {"model.norm.weight", "[8]", "F32", 8},
          {"lm_head.weight", "[6,8]", "F32", 48},
          {l + "input_layernorm.weight", "[8]", "F32", 8},
          {l + "self_attn.q_proj.weight", "[8,8]", "F32", 64},
          {l + "self_attn.k_proj.weight", "[4,8]", "F32", 32},
          {l + "self_attn.v_proj.weight", "[4,8]", "F32", 32},
          {l + "self_attn.o_proj.weight", "[8,8]", "F32", 64},
          {l + "post_attention_layernorm.weight", "[8]", "F32", 8},
          {l + "mlp.gate_proj.weight", "[12,8]", "F32", 96},
          {l + "mlp.up_proj.weight", "[12,8]", "F32", 96},
          {l + "mlp.down_proj.weight", "[8,12]", "F32", 96}};
}

std::string weights_file(const std::vector<Weight>& weights) {
  SafetensorsWriter w;
  size_t i = 0;
  for (const Weight& t : weights) {
    const std::string floats = raw(planted(i++, t.n));
    w.add(t.name, t.dtype, t.shape,
          t.dtype == "F32" ? floats : std::string(t.n * (t.dtype == "I64" ? 8 : 2), 'h'));
  }
  return w.bytes();
}

class HfCheckpoint : public ::testing::Test {
 protected:
  std::unique_ptr<Checkpoint> load() const {
    folder_.write("config.json", config_.dump());
    folder_.write("model.safetensors", weights_file(weights_));
    return Checkpoint::open(folder_.path());
  }
  void refused(const char* words) const {
    SCOPED_TRACE(words);
    expect_refused([&] { load(); }, folder_.path().string(), words);
  }

  support::TempFolder folder_;
  json config_ = tiny_config();
  std::vector<Weight> weights_ = tiny_weights();
};

TEST_F(HfCheckpoint, ReadsConfigAndPlantedRows) {
  const auto c = load();
  const ModelConfig& m = c->config();
  EXPECT_EQ(m.family, "llama");
  EXPECT_EQ(m.n_layers, 1);
  EXPECT_EQ(m.d_head, 4);
  EXPECT_EQ(m.n_kv_heads, 1);
  EXPECT_EQ(m.norm_eps, 1e-6f);
  EXPECT_EQ(m.rope.theta, 5000.0f);
  EXPECT_EQ(m.rope.d_rot, 4);
  EXPECT_FALSE(m.rope.interleaved);
  EXPECT_EQ(m.rope.scaling, RopeScaling::none);
  const char* names[] = {"embed",
                         "final_norm",
                         "head",
                         "layers.0.attn_norm",
                         "layers.0.q",
                         "layers.0.k",
                         "layers.0.v",
                         "layers.0.o",
                         "layers.0.ffn_norm",
                         "layers.0.experts.0.gate",
                         "layers.0.experts.0.up",
                         "layers.0.experts.0.down"};
  ASSERT_EQ(c->tensors().size(), std::size(names));
  for (size_t i = 0; i < std::size(names); ++i) {
    const TensorInfo* t = c->find(names[i]);
    ASSERT_NE(t, nullptr) << names[i];
    const int64_t rows = t->shape.size() == 1 ? 1 : t->shape[0];
    std::vector<float> got(weights_[i].n);
    c->read_rows(*t, 0, rows, got.data());
    EXPECT_EQ(got, planted(i, weights_[i].n)) << names[i];
  }
  EXPECT_EQ(c->files(), (std::vector<std::filesystem::path>{folder_.path() / "config.json",
                                                            folder_.path() / "model.safetensors"}));
}

TEST_F(HfCheckpoint, ReadsBothSpellingsOfLlama3Scaling) {
  const json scaling = {{"rope_type", "llama3"},
                        {"factor", 8.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 32}};
  for (const bool version_5 : {false, true}) {
    config_ = tiny_config();
    if (version_5) {
      config_.erase("rope_theta");
      config_["rope_parameters"] = scaling;
      config_["rope_parameters"]["rope_theta"] = 5000;
    } else {
      config_["rope_scaling"] = scaling;
    }
    const RopeConfig r = load()->config().rope;
    EXPECT_EQ(r.scaling, RopeScaling::llama3);
    EXPECT_EQ(r.theta, 5000.0f);
    EXPECT_EQ(r.factor, 8.0f);
    EXPECT_EQ(r.low_freq_factor, 1.0f);
    EXPECT_EQ(r.high_freq_factor, 4.0f);
    EXPECT_EQ(r.original_context, 32);
  }
  config_ = tiny_config();
  config_["rope_scaling"] = {{"type", "linear"}, {"factor", 2.5}};
  EXPECT_EQ(load()->config().rope.scaling, RopeScaling::linear);
  EXPECT_EQ(load()->config().rope.factor, 2.5f);
}

TEST_F(HfCheckpoint, CapsTheContextAtASlidingWindow) {
  config_["model_type"] = "mistral";
  config_["sliding_window"] = nullptr;
  EXPECT_EQ(load()->config().sliding_window, 0);
  EXPECT_EQ(load()->config().family, "llama");
  config_["sliding_window"] = 64;
  EXPECT_EQ(load()->config().sliding_window, 0);
  config_["sliding_window"] = 16;
  EXPECT_EQ(load()->config().sliding_window, 16);
  EXPECT_EQ(load()->config().max_tokens, 16);
}

TEST_F(HfCheckpoint, TiesTheHeadWhenAsked) {
  config_["tie_word_embeddings"] = true;
  EXPECT_EQ(load()->find("head"), nullptr);
  std::erase_if(weights_, [](const Weight& w) { return w.name == "lm_head.weight"; });
  EXPECT_TRUE(load()->config().tied_head);
  config_["tie_word_embeddings"] = false;
  refused("'lm_head.weight' is missing");
}

TEST_F(HfCheckpoint, ReadsHalfTypesAndIgnoresStoredFrequencies) {
  weights_[0].dtype = "F16";
  weights_[1].dtype = "BF16";
  weights_.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", "[2]", "F32", 2});
  const auto c = load();
  EXPECT_EQ(c->find("embed")->dtype, kernels::Dtype::f16);
  EXPECT_EQ(c->find("final_norm")->dtype, kernels::Dtype::bf16);
}

TEST_F(HfCheckpoint, RefusesAWrongConfig) {
  const struct {
    const char* key;
    json value;
    const char* words;
  } cases[] = {
      {"model_type", "gpt_neox", "architecture 'gpt_neox' is not supported; known: llama"},
      {"model_type", "mixtral", "num_local_experts is missing"},
      {"model_type", "olmoe", "num_experts is missing"},
      {"model_type", nullptr, "model_type is missing"},
      {"model_type", 5, "model_type is a JSON number, want a string"},
      {"num_local_experts", 8, "num_local_experts is 8, but model_type llama is dense"},
      {"num_experts", 8, "num_experts is 8, but model_type llama is dense"},
      {"hidden_size", "8", "hidden_size is a JSON string, want an integer"},
      {"hidden_size", 8.0, "want an integer"},
      {"hidden_size", 0, "hidden_size is 0"},
      {"hidden_size", -8, "hidden_size is -8"},
      {"hidden_size", UINT64_MAX, "hidden_size is 18446744073709551615"},
      {"hidden_size", 16, "has shape [6, 8], want [6, 16]"},
      {"num_hidden_layers", 513, "num_hidden_layers is 513"},
      {"num_hidden_layers", 2, "'model.layers.1.input_layernorm.weight' is missing"},
      {"num_attention_heads", 3, "num_attention_heads 3 does not divide hidden_size 8"},
      {"num_key_value_heads", 4, "n_kv_heads is 4"},
      {"intermediate_size", 13, "has shape [12, 8], want [13, 8]"},
      {"vocab_size", 7, "has shape [6, 8], want [7, 8]"},
      {"head_dim", 6, "has shape [8, 8], want [12, 8]"},
      {"head_dim", 5, "rope.d_rot"},
      {"rms_norm_eps", 0, "norm_eps is 0"},
      {"rms_norm_eps", "x", "rms_norm_eps is a JSON string, want a number"},
      {"rope_theta", 1e300, "rope_theta is 1e+300, want a finite float"},
      {"rope_scaling", {{"type", "dynamic"}, {"factor", 2}}, "rope_scaling.type is 'dynamic'"},
      {"rope_scaling",
       {{"rope_type", "llama3"}, {"factor", 2}},
       "rope_scaling.low_freq_factor is missing"},
      {"rope_scaling", {{"rope_type", "linear"}, {"factor", 0}}, "rope.factor is 0"},
      {"rope_scaling", json::array(), "rope_scaling is a JSON array, want an object"},
      {"partial_rotary_factor", 0.5, "partial_rotary_factor is 0.5, want 1"},
      {"hidden_act", "gelu", "hidden_act is 'gelu', want 'silu'"},
      {"mlp_bias", true, "mlp_bias is true"},
      {"attention_bias", true, "'model.layers.0.self_attn.q_proj.bias' is missing"},
      {"quantization_config",
       {{"quant_method", "gptq"}},
       "quantization_config is set (method 'gptq')"},
  };
  ASSERT_NE(load(), nullptr);
  for (const auto& c : cases) {
    config_ = tiny_config();
    config_[c.key] = c.value;
    refused(c.words);
  }
}

TEST_F(HfCheckpoint, RefusesAWrongConfigFile) {
  load();
  const auto text = [&](std::string_view bytes, const char* words) {
    folder_.write("config.json", bytes);
    expect_refused([&] { Checkpoint::open(folder_.path()); }, "config.json", words);
  };
  text("{\"model_type\": \"llama\"", "not valid JSON: it ends too early, after 22 bytes");
  text("{\"model_type\" \"llama\"}", "not valid JSON at byte 21 of 22");
  text("[]", "want an object");
  text(R"({"model_type":"llama","model_type":"llama"})", "duplicate JSON key 'model_type'");
  text(R"({"x":1e400})", "out of range");
  text("{\"x\":\"\xff\"}", "not valid JSON");
  text(std::string(100'000, '['), "nesting is deeper than 16");
  text(std::string((1 << 20) + 1, ' '), "at most 1048576 are read");
  std::filesystem::remove(folder_.path() / "config.json");
  expect_refused([&] { Checkpoint::open(folder_.path()); }, "config.json", "cannot be opened");
  expect_refused([&] { Checkpoint::open(folder_.path() / "model.safetensors"); },
                 "model.safetensors", "name the folder");
}

TEST_F(HfCheckpoint, RefusesWrongWeights) {
  weights_.push_back({"model.layers.0.self_attn.o_proj.bias", "[8]", "F32", 8});
  refused("'model.layers.0.self_attn.o_proj.bias' is no part of the llama family");
  weights_ = tiny_weights();
  weights_[4].dtype = "I64";
  refused("'model.layers.0.self_attn.q_proj.weight' has type I64, want F32, F16 or BF16");
  weights_ = tiny_weights();
  weights_[11].shape = "[12,8]";
  refused("'model.layers.0.mlp.down_proj.weight' has shape [12, 8], want [8, 12]");
  weights_ = tiny_weights();
  weights_.pop_back();
  refused("'model.layers.0.mlp.down_proj.weight' is missing");
}

TEST_F(HfCheckpoint, OpensEveryGoldenCheckpoint) {
  const std::filesystem::path golden = MOEVAL_SOURCE_DIR "/tests/engine/golden";
  int n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(golden)) {
    if (!std::filesystem::exists(entry.path() / "config.json")) continue;
    const std::string name = entry.path().filename();
    if (std::filesystem::exists(entry.path() / "logits_by_k.f32")) continue;  // moe_checkpoint_test
    SCOPED_TRACE(name);
    const auto c = Checkpoint::open(entry.path());
    const ModelConfig& m = c->config();
    EXPECT_EQ(m.vocab, 128);
    EXPECT_EQ(m.n_layers, 3);
    EXPECT_EQ(m.qkv_bias, name == "qwen2");
    EXPECT_EQ(m.qk_norm == QkNorm::head, name == "qwen3");
    EXPECT_EQ(m.d_head, name == "qwen3" ? 16 : 8);
    EXPECT_EQ(m.rope.scaling, name == "llama3_rope"         ? RopeScaling::llama3
                              : name == "llama_linear_rope" ? RopeScaling::linear
                                                            : RopeScaling::none);
    EXPECT_EQ(c->files().size(), name == "llama" ? 4u : 2u);
    ++n;
  }
  EXPECT_EQ(n, 7);
}

}  // namespace
}  // namespace engine::test_support
