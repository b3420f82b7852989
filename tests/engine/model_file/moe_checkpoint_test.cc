// Mixture-of-experts files: every layout of GGUF and of Hugging Face gives the same tensors; a
// config that disagrees with its tensors is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/model_file/formats.h"
#include "engine/weights.h"
#include "kernels/thread_pool.h"
#include "tests/engine/model_file/expect_refused.h"
#include "tests/support/moe_gguf.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"

namespace engine::test_support {
namespace {

using nlohmann::json;
using support::ExpertLayout;
using support::floats_of;
using support::GgufWriter;

std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(MOEVAL_SOURCE_DIR) / "tests/engine/golden" / name;
}

std::unique_ptr<Checkpoint> load_moe(const GgufWriter& w) {
  return open_gguf_checkpoint(ByteSource::from_memory("moe.gguf", w.bytes()), "moe.gguf");
}

void expect_same_config(const ModelConfig& a, const ModelConfig& b) {
  EXPECT_EQ(a.family, b.family);
  EXPECT_EQ(a.qk_norm, b.qk_norm);
  EXPECT_EQ(a.qkv_bias, b.qkv_bias);
  EXPECT_EQ(a.tied_head, b.tied_head);
  EXPECT_EQ(a.d_head, b.d_head);
  EXPECT_EQ(a.rope.theta, b.rope.theta);
  EXPECT_EQ(a.rope.d_rot, b.rope.d_rot);
  const MoeConfig &x = a.moe, &y = b.moe;
  EXPECT_EQ(x.n_experts, y.n_experts);
  EXPECT_EQ(x.n_shared, y.n_shared);
  EXPECT_EQ(x.trained_k, y.trained_k);
  EXPECT_EQ(x.d_expert, y.d_expert);
  EXPECT_EQ(x.d_shared, y.d_shared);
  EXPECT_EQ(x.router, y.router);
  EXPECT_EQ(x.renormalise, y.renormalise);
  EXPECT_EQ(x.shared_gate, y.shared_gate);
}

class MoeFamily : public ::testing::TestWithParam<const char*> {};

TEST_P(MoeFamily, GgufGivesTheTensorsOfHuggingFaceInEveryLayout) {
  const auto hf = Checkpoint::open(golden(GetParam()));
  for (const auto layout : {ExpertLayout::stacked, ExpertLayout::fused, ExpertLayout::separate}) {
    SCOPED_TRACE(static_cast<int>(layout));
    const auto gguf = load_moe(support::moe_gguf(*hf, layout));
    expect_same_config(gguf->config(), hf->config());
    const bool interleaved = gguf->config().rope.interleaved;
    EXPECT_EQ(interleaved, gguf->config().family == "mixtral");
    ASSERT_EQ(gguf->tensors().size(), hf->tensors().size());
    for (size_t i = 0; i < hf->tensors().size(); ++i) {
      const TensorInfo &a = gguf->tensors()[i], &b = hf->tensors()[i];
      ASSERT_EQ(a.name, b.name);
      ASSERT_EQ(a.shape, b.shape) << a.name;
      std::vector<float> x = floats_of(*gguf, a.name);
      const std::vector<float> y = floats_of(*hf, a.name);
      if (interleaved && (a.name.ends_with(".q") || a.name.ends_with(".k"))) {
        const std::vector<float> stored = x;
        for (int64_t r = 0; r < a.shape[0]; ++r) {
          std::copy_n(
              stored.begin() + support::interleaved_row(hf->config().d_head, r) * a.shape[1],
              a.shape[1], x.begin() + r * a.shape[1]);
        }
      }
      ASSERT_EQ(x, y) << a.name << " in " << a.stored_name << " from row " << a.first_row;
    }
  }
}

// A folder with the golden's config and its tensors under the names that transformers 5 holds.
void write_fused(const Checkpoint& from, const std::filesystem::path& config,
                 const std::string& block, const support::TempFolder& folder) {
  const ModelConfig& c = from.config();
  support::SafetensorsWriter w;
  const auto shape = [](const std::vector<int64_t>& s) { return json(s).dump(); };
  for (const TensorInfo& t : from.tensors()) {
    const bool routed = t.stored_name.find(".experts.") != t.stored_name.npos;
    if (routed) continue;
    std::string name = t.stored_name;
    if (t.name.ends_with(".router")) {
      name = t.stored_name.substr(0, t.stored_name.find('.', 13) + 1) + block + "gate.weight";
    }
    w.add(name, "F32", shape(t.shape), support::raw(floats_of(from, t.name)));
  }
  const int64_t n = c.moe.n_routed(), f = c.moe.d_expert, d = c.d_model;
  for (int32_t i = 0; i < c.n_layers; ++i) {
    std::string gate_up, down;
    for (int32_t e = c.moe.n_shared; e < c.moe.n_experts; ++e) {
      const std::string expert = fmt::format("layers.{}.experts.{}.", i, e);
      gate_up += support::raw(floats_of(from, expert + "gate"));
      gate_up += support::raw(floats_of(from, expert + "up"));
      down += support::raw(floats_of(from, expert + "down"));
    }
    const std::string name = fmt::format("model.layers.{}.{}experts.", i, block);
    w.add(name + "gate_up_proj", "F32", shape({n, 2 * f, d}), gate_up);
    w.add(name + "down_proj", "F32", shape({n, d, f}), down);
  }
  std::filesystem::copy_file(config, folder.path() / "config.json",
                             std::filesystem::copy_options::overwrite_existing);
  folder.write("model.safetensors", w.bytes());
}

TEST_P(MoeFamily, FusedTensorsOfTransformersGiveTheSeparateOnes) {
  const auto separate = Checkpoint::open(golden(GetParam()));
  const bool mixtral = separate->config().family == "mixtral";
  for (const char* block : {"mlp.", "block_sparse_moe."}) {
    if (!mixtral && block != std::string("mlp.")) continue;
    SCOPED_TRACE(block);
    const support::TempFolder folder;
    write_fused(*separate, golden(GetParam()) / "config.json", block, folder);
    const auto fused = Checkpoint::open(folder.path());
    ASSERT_EQ(fused->tensors().size(), separate->tensors().size());
    for (const TensorInfo& t : separate->tensors()) {
      ASSERT_EQ(floats_of(*fused, t.name), floats_of(*separate, t.name)) << t.name;
    }
    const int32_t last = fused->config().moe.n_experts - 1;
    const TensorInfo* up = fused->find(fmt::format("layers.1.experts.{}.up", last));
    EXPECT_NE(up->stored_name.find("experts.gate_up_proj"), std::string::npos);
    const MoeConfig& moe = fused->config().moe;
    EXPECT_EQ(up->first_row, (2 * moe.n_routed() - 1) * moe.d_expert);
  }
}

INSTANTIATE_TEST_SUITE_P(Files, MoeFamily,
                         ::testing::Values("mixtral", "olmoe", "qwen2_moe", "qwen3_moe"),
                         [](const auto& p) { return std::string(p.param); });

TEST(MoeCheckpoint, ReadsWhatEachFamilyDoes) {
  const struct {
    const char* name;
    const char* family;
    int32_t n_experts, n_shared, trained_k;
    int64_t d_expert, d_shared;
    bool renormalise;
    QkNorm qk_norm;
    bool qkv_bias;
  } cases[] = {
      {"mixtral", "mixtral", 8, 0, 2, 16, 0, true, QkNorm::none, false},
      {"olmoe", "olmoe", 16, 0, 4, 8, 0, false, QkNorm::whole, false},
      {"qwen2_moe", "qwen2_moe", 17, 1, 4, 8, 20, false, QkNorm::none, true},
      {"qwen2_moe_fused", "qwen2_moe", 10, 1, 3, 12, 16, true, QkNorm::none, true},
      {"qwen3_moe", "qwen3_moe", 20, 0, 4, 8, 0, true, QkNorm::head, false},
  };
  for (const auto& k : cases) {
    SCOPED_TRACE(k.name);
    const auto c = Checkpoint::open(golden(k.name));
    const ModelConfig& m = c->config();
    EXPECT_EQ(m.family, k.family);
    EXPECT_EQ(m.moe.n_experts, k.n_experts);
    EXPECT_EQ(m.moe.n_shared, k.n_shared);
    EXPECT_EQ(m.moe.trained_k, k.trained_k);
    EXPECT_EQ(m.moe.d_expert, k.d_expert);
    EXPECT_EQ(m.moe.d_shared, k.d_shared);
    EXPECT_EQ(m.moe.renormalise, k.renormalise);
    EXPECT_EQ(m.moe.shared_gate, k.n_shared == 1);
    EXPECT_EQ(m.moe.router, RouterKind::linear);
    EXPECT_EQ(m.qk_norm, k.qk_norm);
    EXPECT_EQ(m.qkv_bias, k.qkv_bias);
    EXPECT_EQ(c->find("layers.0.router")->shape,
              (std::vector<int64_t>{k.n_experts - k.n_shared, 32}));
    EXPECT_EQ(c->find("layers.1.shared_gate") != nullptr, k.n_shared == 1);
    EXPECT_EQ(c->find(fmt::format("layers.1.experts.{}.gate", k.n_experts)), nullptr);
  }
}

TEST(MoeCheckpoint, AGgufKeySaysWhetherGateWeightsAreRenormalised) {
  for (const char* name : {"mixtral", "olmoe", "qwen2_moe", "qwen3_moe"}) {
    for (const bool renormalise : {false, true}) {
      GgufWriter w = support::moe_gguf(*Checkpoint::open(golden(name)), ExpertLayout::stacked);
      const std::string arch = w.keys.front().payload.substr(8);
      w.add_bool(arch + ".expert_weights_norm", renormalise);
      EXPECT_EQ(load_moe(w)->config().moe.renormalise, renormalise) << name;
    }
  }
}

TEST(MoeCheckpoint, TakesWidthsFromTheFeedForwardLengthWhereAGgufHasNoOther) {
  GgufWriter w = support::moe_gguf(*Checkpoint::open(golden("qwen2_moe")), ExpertLayout::stacked);
  w.remove_key("qwen2moe.expert_feed_forward_length");
  w.remove_key("qwen2moe.expert_shared_feed_forward_length");
  w.set_u32("qwen2moe.feed_forward_length", 24);  // 3 experts of width 8
  expect_refused([&] { load_moe(w); }, "moe.gguf",
                 "'blk.0.ffn_gate_shexp.weight' has shape [20, 32], want [24, 32]");
  w.add_u32("qwen2moe.expert_shared_feed_forward_length", 20);
  EXPECT_EQ(load_moe(w)->config().moe.d_expert, 8);
}

TEST(MoeCheckpoint, NamesTheStoredRowOfAnExpertThatHoldsANaN) {
  GgufWriter w = support::moe_gguf(*Checkpoint::open(golden("olmoe")), ExpertLayout::stacked);
  const float nan = std::nanf("");
  // Expert 5, row 3 of 8, element 7 of 32.
  w.tensor("blk.1.ffn_up_exps.weight")
      .data.replace(((5 * 8 + 3) * 32 + 7) * 4, 4, support::raw(nan));
  kernels::ThreadPool pool(1);
  const auto checkpoint = load_moe(w);
  expect_refused([&] { load_weights(*checkpoint, pool); }, "moe.gguf",
                 "tensor blk.1.ffn_up_exps.weight: row 43 holds a NaN");
}

struct GgufMutation {
  const char* golden;
  ExpertLayout layout;
  std::function<void(GgufWriter&)> apply;
  const char* words;
};

TEST(MoeCheckpoint, RefusesAGgufThatContradictsItself) {
  const auto stacked = ExpertLayout::stacked, separate = ExpertLayout::separate;
  const GgufMutation cases[] = {
      {"olmoe", stacked, [](auto& w) { w.set_u32("olmoe.expert_count", 15); },
       "'blk.0.ffn_gate_inp.weight' has shape [16, 32], want [15, 32]"},
      {"olmoe", stacked, [](auto& w) { w.set_u32("olmoe.expert_count", 0); },
       "olmoe.expert_count is 0, want 1 to 512"},
      {"olmoe", stacked, [](auto& w) { w.set_u32("olmoe.expert_count", 513); },
       "olmoe.expert_count is 513, want 1 to 512"},
      {"olmoe", stacked, [](auto& w) { w.set_u32("olmoe.expert_used_count", 17); },
       "olmoe.expert_used_count is 17, olmoe.expert_count is 16"},
      {"olmoe", stacked, [](auto& w) { w.set_u32("olmoe.expert_used_count", 0); },
       "olmoe.expert_used_count is 0"},
      {"olmoe", stacked, [](auto& w) { w.remove_key("olmoe.expert_used_count"); },
       "'olmoe.expert_used_count' is missing"},
      {"olmoe", stacked, [](auto& w) { w.remove_tensor("blk.1.ffn_up_exps.weight"); },
       "'blk.1.ffn_up_exps.weight' or 'blk.1.ffn_gate_up_exps.weight' or 'blk.1.ffn_up.0.weight' "
       "is missing"},
      {"olmoe", stacked, [](auto& w) { w.remove_tensor("blk.0.ffn_gate_inp.weight"); },
       "'blk.0.ffn_gate_inp.weight' is missing"},
      {"olmoe", stacked,
       [](auto& w) {
         auto& t = w.tensor("blk.1.ffn_down_exps.weight");
         t.dims.back() = 15;
         t.data.resize(t.data.size() / 16 * 15);
       },
       "'blk.1.ffn_down_exps.weight' has shape [15, 32, 8], want [16, 32, 8]"},
      {"olmoe", stacked, [](auto& w) { w.add_u32("olmoe.expert_gating_func", 2); },
       "olmoe.expert_gating_func is 2, want 1"},
      {"olmoe", stacked, [](auto& w) { w.add_u32("olmoe.expert_group_count", 4); },
       "olmoe.expert_group_count is 4, want 1"},
      {"olmoe", stacked, [](auto& w) { w.add_u32("olmoe.leading_dense_block_count", 1); },
       "olmoe.leading_dense_block_count is 1, want 0"},
      {"olmoe", stacked, [](auto& w) { w.add_u32("olmoe.expert_shared_count", 1); },
       "olmoe.expert_shared_count is 1, want 0"},
      {"olmoe", stacked, [](auto& w) { w.add_f32("olmoe.expert_weights_scale", 2.5f); },
       "olmoe.expert_weights_scale is 2.5, want 1"},
      {"mixtral", separate, [](auto& w) { w.remove_tensor("blk.1.ffn_down.7.weight"); },
       "'blk.1.ffn_down.7.weight' is missing"},
      {"mixtral", separate, [](auto& w) { w.set_u32("llama.expert_count", 7); },
       "'blk.0.ffn_gate_inp.weight' has shape [8, 32], want [7, 32]"},
      {"mixtral", separate, [](auto& w) { w.set_u32("llama.expert_count", 0); },
       "'blk.0.ffn_gate.weight' is missing"},
      {"mixtral", separate, [](auto& w) { w.add_tensor("blk.0.ffn_up.8.weight", {1}, {0.0f}); },
       "'blk.0.ffn_up.8.weight' is no part of the mixtral family"},
      {"qwen2_moe", stacked, [](auto& w) { w.remove_tensor("blk.0.ffn_gate_inp_shexp.weight"); },
       "'blk.0.ffn_gate_inp_shexp.weight' is missing"},
      {"qwen2_moe", stacked, [](auto& w) { w.remove_tensor("blk.1.ffn_up_shexp.weight"); },
       "'blk.1.ffn_up_shexp.weight' is missing"},
      {"qwen3_moe", stacked, [](auto& w) { w.set_u32("qwen3moe.expert_used_count", 17); },
       "moe.trained_k is 17, want 1 to 16"},
  };
  for (const GgufMutation& m : cases) {
    SCOPED_TRACE(m.words);
    GgufWriter w = support::moe_gguf(*Checkpoint::open(golden(m.golden)), m.layout);
    ASSERT_NO_THROW(load_moe(w));
    m.apply(w);
    expect_refused([&] { load_moe(w); }, "moe.gguf", m.words);
  }
}

TEST(MoeCheckpoint, RefusesAConfigThatContradictsItsTensors) {
  const struct {
    const char* golden;
    const char* key;
    json value;
    const char* words;
  } cases[] = {
      {"mixtral", "num_local_experts", 7,
       "'model.layers.0.block_sparse_moe.gate.weight' has shape [8, 32], want [7, 32]"},
      {"mixtral", "num_local_experts", nullptr, "num_local_experts is missing"},
      {"mixtral", "num_experts_per_tok", 9, "num_experts_per_tok is 9, num_local_experts is 8"},
      {"mixtral", "num_experts_per_tok", 0, "num_experts_per_tok is 0"},
      {"mixtral", "intermediate_size", 24,
       "block_sparse_moe.experts.0.w1.weight' has shape [16, 32], want [24, 32]"},
      {"olmoe", "num_experts", 513, "num_experts is 513, want 1 to 512"},
      {"olmoe", "num_experts", 17,
       "'model.layers.0.mlp.gate.weight' has shape [16, 32], want [17, 32]"},
      {"olmoe", "clip_qkv", 8.0, "clip_qkv is 8, want null"},
      {"olmoe", "scoring_func", "sigmoid", "scoring_func is 'sigmoid', want 'softmax'"},
      {"olmoe", "norm_topk_prob", 1, "norm_topk_prob is a JSON number, want a boolean"},
      {"qwen2_moe", "decoder_sparse_step", 2, "decoder_sparse_step is 2, want 1"},
      {"qwen2_moe", "mlp_only_layers", {0}, "mlp_only_layers names 1 layers, want none"},
      {"qwen2_moe", "mlp_only_layers", 3, "mlp_only_layers is a JSON number, want an array"},
      {"qwen2_moe", "shared_expert_intermediate_size", 24,
       "'model.layers.0.mlp.shared_expert.gate_proj.weight' has shape [20, 32], want [24, 32]"},
      {"qwen2_moe", "qkv_bias", false,
       "'model.layers.0.self_attn.k_proj.bias' is no part of the qwen2_moe family"},
      {"qwen2_moe_fused", "num_experts", 8,
       "'model.layers.0.mlp.gate.weight' has shape [9, 32], want [8, 32]"},
      {"qwen2_moe_fused", "moe_intermediate_size", 13,
       "'model.layers.0.mlp.experts.gate_up_proj' has shape [9, 24, 32], want [9, 26, 32]"},
      {"qwen3_moe", "num_experts_per_tok", 17, "moe.trained_k is 17, want 1 to 16"},
      {"qwen3_moe", "moe_intermediate_size", nullptr, "moe_intermediate_size is missing"},
      {"qwen3_moe", "model_type", "qwen3",
       "num_local_experts is 20, but model_type qwen3 is dense"},
      {"qwen3_moe", "model_type", "deepseek_v3",
       "architecture 'deepseek_v3' is not supported; known: llama (SmolLM2, Llama 2 and 3, "
       "Mistral), qwen2, qwen3, mixtral, olmoe, qwen2_moe, qwen3_moe"},
  };
  for (const auto& k : cases) {
    SCOPED_TRACE(k.words);
    const support::TempFolder folder;
    std::filesystem::copy_file(golden(k.golden) / "model.safetensors",
                               folder.path() / "model.safetensors");
    std::ifstream in(golden(k.golden) / "config.json");
    json config = json::parse(in);
    folder.write("config.json", config.dump());
    ASSERT_NO_THROW(Checkpoint::open(folder.path()));
    config[k.key] = k.value;
    folder.write("config.json", config.dump());
    expect_refused([&] { Checkpoint::open(folder.path()); }, folder.path().string(), k.words);
  }
}

}  // namespace
}  // namespace engine::test_support
