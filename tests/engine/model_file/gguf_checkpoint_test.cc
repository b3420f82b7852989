#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/model_file/formats.h"
#include "tests/engine/model_file/expect_refused.h"
#include "tests/engine/model_file/tiny_model.h"
#include "tests/support/temp_folder.h"

namespace engine::test_support {
namespace {

using support::GgufWriter;
using support::raw;

std::unique_ptr<Checkpoint> load(const GgufWriter& w) {
  return open_gguf_checkpoint(ByteSource::from_memory("tiny.gguf", w.bytes()), "tiny.gguf");
}

TEST(GgufCheckpoint, ReadsTheConfigOfALlama) {
  GgufWriter w = tiny_gguf();
  w.add_string("llama.rope.scaling.type", "linear");
  w.add_f32("llama.rope.scaling.factor", 4.0f);
  w.add_tensor("rope_freqs.weight", {2}, {1.0f, 8.0f});
  const auto c = load(w);
  const ModelConfig& m = c->config();
  EXPECT_EQ(m.family, "llama");
  EXPECT_EQ(m.name, "tiny");
  EXPECT_EQ(m.n_layers, 2);
  EXPECT_EQ(m.d_model, 8);
  EXPECT_EQ(m.n_heads, 2);
  EXPECT_EQ(m.n_kv_heads, 1);
  EXPECT_EQ(m.d_head, 4);
  EXPECT_EQ(m.vocab, 6);
  EXPECT_EQ(m.max_tokens, 64);
  EXPECT_EQ(m.norm_eps, 1e-5f);
  EXPECT_EQ(m.moe.d_shared, 12);
  EXPECT_EQ(m.moe.n_experts, 1);
  EXPECT_FALSE(m.tied_head);
  EXPECT_FALSE(m.qkv_bias);
  EXPECT_EQ(m.rope.theta, 5000.0f);
  EXPECT_EQ(m.rope.d_rot, 4);
  EXPECT_TRUE(m.rope.interleaved);
  EXPECT_EQ(m.rope.scaling, RopeScaling::linear);
  EXPECT_EQ(m.rope.factor, 4.0f);
  EXPECT_EQ(m.rope.frequency_factors, (std::vector<float>{1.0f, 8.0f}));
}

TEST(GgufCheckpoint, FindsEveryPlantedRowUnderItsCanonicalName) {
  const auto c = load(tiny_gguf());
  // In the order of tiny_tensors().
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
                         "layers.0.experts.0.down",
                         "layers.1.attn_norm"};
  EXPECT_EQ(c->tensors().size(), tiny_tensors().size());
  for (size_t i = 0; i < std::size(names); ++i) {
    const TensorInfo* t = c->find(names[i]);
    ASSERT_NE(t, nullptr) << names[i];
    EXPECT_EQ(t->stored_name, tiny_tensors()[i].name);
    const int64_t rows = t->shape.size() == 1 ? 1 : t->shape[0], width = t->shape.back();
    const std::vector<float> want = planted(i, static_cast<size_t>(rows * width));
    std::vector<float> last(static_cast<size_t>(width));
    c->read_rows(*t, rows - 1, 1, last.data());
    EXPECT_EQ(last, std::vector<float>(want.end() - width, want.end())) << names[i];
  }
  EXPECT_EQ(c->find("layers.2.q"), nullptr);
}

TEST(GgufCheckpoint, ReadsTheFamilies) {
  EXPECT_TRUE(load(tiny_gguf("llama", true))->config().tied_head);
  GgufWriter qwen2 = tiny_gguf("qwen2", true), qwen3 = tiny_gguf("qwen3", true);
  for (const std::string l : {"blk.0.", "blk.1."}) {
    qwen2.add_tensor(l + "attn_q.bias", {8}, planted(1, 8));
    qwen2.add_tensor(l + "attn_k.bias", {4}, planted(2, 4));
    qwen2.add_tensor(l + "attn_v.bias", {4}, planted(3, 4));
    qwen3.add_tensor(l + "attn_q_norm.weight", {4}, planted(1, 4));
    qwen3.add_tensor(l + "attn_k_norm.weight", {4}, planted(2, 4));
  }
  const auto two = load(qwen2), three = load(qwen3);
  EXPECT_TRUE(two->config().qkv_bias);
  EXPECT_FALSE(two->config().rope.interleaved);
  EXPECT_NE(two->find("layers.1.v_bias"), nullptr);
  EXPECT_EQ(three->config().qk_norm, QkNorm::head);
  EXPECT_FALSE(three->config().qkv_bias);
  EXPECT_FALSE(three->config().rope.interleaved);
  EXPECT_NE(three->find("layers.1.k_norm"), nullptr);
}

TEST(GgufCheckpoint, TakesAnExplicitHeadWidth) {
  GgufWriter w = tiny_gguf();
  w.add_u32("llama.attention.key_length", 6);
  w.add_u32("llama.attention.value_length", 6);
  for (GgufWriter::Tensor& t : w.tensors) {
    if (t.name.find("attn_q.") != t.name.npos) t = {t.name, {8, 12}, 0, raw(planted(0, 96))};
    if (t.name.find("attn_k.") != t.name.npos) t = {t.name, {8, 6}, 0, raw(planted(0, 48))};
    if (t.name.find("attn_v.") != t.name.npos) t = {t.name, {8, 6}, 0, raw(planted(0, 48))};
    if (t.name.find("attn_output") != t.name.npos) t = {t.name, {12, 8}, 0, raw(planted(0, 96))};
  }
  const auto c = load(w);
  EXPECT_EQ(c->config().d_head, 6);
  EXPECT_EQ(c->config().rope.d_rot, 6);
}

TEST(GgufCheckpoint, CapsTheContextAtASlidingWindow) {
  GgufWriter w = tiny_gguf();
  w.add_u32("llama.attention.sliding_window", 64);
  EXPECT_EQ(load(w)->config().sliding_window, 0);
  w.set_u32("llama.attention.sliding_window", 16);
  EXPECT_EQ(load(w)->config().sliding_window, 16);
  EXPECT_EQ(load(w)->config().max_tokens, 16);
}

struct Mutation {
  const char* name;
  std::function<void(GgufWriter&)> apply;
  const char* words;
};

void retype(GgufWriter& w, std::string_view name, uint32_t type, size_t bytes) {
  w.tensor(name).type = type;
  w.tensor(name).data = std::string(bytes, 'q');
}

const Mutation kMutations[] = {
    {"no architecture", [](GgufWriter& w) { w.remove_key("general.architecture"); },
     "'general.architecture' is missing"},
    {"unknown architecture",
     [](GgufWriter& w) { w.key("general.architecture").payload = w.text("gptneox"); },
     "architecture 'gptneox' is not supported; known: llama"},
    {"architecture with control bytes",
     [](GgufWriter& w) { w.key("general.architecture").payload = w.text("a\nb\x1b[2J"); },
     "'a?b?[2J'"},
    {"mixture of experts by count", [](GgufWriter& w) { w.add_u32("llama.expert_count", 8); },
     "'llama.expert_used_count' is missing"},
    {"vocabulary only", [](GgufWriter& w) { w.tensors.clear(); }, "no weights"},
    {"split",
     [](GgufWriter& w) {
       w.keys.push_back({"split.count", w.u16, raw(uint16_t{3})});
     },
     "one of 3 parts"},
    {"layers 0", [](GgufWriter& w) { w.set_u32("llama.block_count", 0); },
     "llama.block_count is 0"},
    {"layers 513", [](GgufWriter& w) { w.set_u32("llama.block_count", 513); },
     "llama.block_count is 513"},
    {"layers 2^32-1", [](GgufWriter& w) { w.set_u32("llama.block_count", UINT32_MAX); },
     "llama.block_count is"},
    {"layers +1", [](GgufWriter& w) { w.set_u32("llama.block_count", 3); },
     "'blk.2.attn_norm.weight' is missing"},
    {"layers -1", [](GgufWriter& w) { w.set_u32("llama.block_count", 1); },
     "'blk.1.attn_norm.weight' is no part"},
    {"layers of another type", [](GgufWriter& w) { w.key("llama.block_count").type = w.i32; },
     "has type i32, want u32"},
    {"heads 0", [](GgufWriter& w) { w.set_u32("llama.attention.head_count", 0); },
     "head_count is 0"},
    {"heads do not divide", [](GgufWriter& w) { w.set_u32("llama.attention.head_count", 3); },
     "does not divide"},
    {"kv heads 0", [](GgufWriter& w) { w.set_u32("llama.attention.head_count_kv", 0); },
     "n_kv_heads is 0"},
    {"kv heads above heads", [](GgufWriter& w) { w.set_u32("llama.attention.head_count_kv", 4); },
     "n_kv_heads is 4"},
    {"kv heads per layer",
     [](GgufWriter& w) {
       w.remove_key("llama.attention.head_count_kv");
       w.add_array<uint32_t>("llama.attention.head_count_kv", w.u32, {1, 1});
     },
     "has type array, want u32"},
    {"width 0", [](GgufWriter& w) { w.set_u32("llama.embedding_length", 0); },
     "embedding_length is 0"},
    {"width 2^32-1", [](GgufWriter& w) { w.set_u32("llama.embedding_length", UINT32_MAX); },
     "embedding_length is"},
    {"width wrong", [](GgufWriter& w) { w.set_u32("llama.embedding_length", 16); },
     "has shape [6, 8], want [6, 16]"},
    {"feed-forward wrong", [](GgufWriter& w) { w.set_u32("llama.feed_forward_length", 13); },
     "has shape [12, 8], want [13, 8]"},
    {"context 0", [](GgufWriter& w) { w.set_u32("llama.context_length", 0); },
     "context_length is 0"},
    {"no epsilon", [](GgufWriter& w) { w.remove_key("llama.attention.layer_norm_rms_epsilon"); },
     "is missing"},
    {"epsilon NaN",
     [](GgufWriter& w) {
       w.key("llama.attention.layer_norm_rms_epsilon").payload = raw(std::nanf(""));
     },
     "norm_eps is nan"},
    {"theta negative", [](GgufWriter& w) { w.key("llama.rope.freq_base").payload = raw(-1.0f); },
     "rope.theta is -1"},
    {"odd rotary width", [](GgufWriter& w) { w.add_u32("llama.rope.dimension_count", 3); },
     "rope.d_rot is 3, want an even number"},
    {"rotary width above head", [](GgufWriter& w) { w.add_u32("llama.rope.dimension_count", 8); },
     "rope.d_rot is 8"},
    {"rope scaling not known",
     [](GgufWriter& w) { w.add_string("llama.rope.scaling.type", "yarn"); }, "'yarn'"},
    {"rope factors of another length",
     [](GgufWriter& w) {
       w.add_tensor("rope_freqs.weight", {3}, {1, 1, 1});
     },
     "rope_freqs.weight"},
    {"rope factor 0",
     [](GgufWriter& w) {
       w.add_tensor("rope_freqs.weight", {2}, {1, 0});
     },
     "rope.frequency_factors is 0"},
    {"value width differs", [](GgufWriter& w) { w.add_u32("llama.attention.value_length", 5); },
     "value_length is 5, want the key length 4"},
    {"head width 2^32-1",
     [](GgufWriter& w) { w.add_u32("llama.attention.key_length", UINT32_MAX); }, "d_head is"},
    {"vocabulary size differs", [](GgufWriter& w) { w.add_u32("llama.vocab_size", 7); },
     "vocab_size is 7, tokenizer.ggml.tokens has 6"},
    {"embedding rows differ",
     [](GgufWriter& w) {
       w.remove_key("tokenizer.ggml.tokens");
       w.add_strings("tokenizer.ggml.tokens", {"a", "b", "c", "d", "e", "f", "g"});
       w.remove_key("tokenizer.ggml.scores");
       w.remove_key("tokenizer.ggml.token_type");
     },
     "'token_embd.weight' has shape [6, 8], want [7, 8]"},
    {"scores differ",
     [](GgufWriter& w) {
       w.remove_key("tokenizer.ggml.scores");
       w.add_array<float>("tokenizer.ggml.scores", w.f32, {1});
     },
     "tokenizer.ggml.scores has 1 elements"},
    {"no vocabulary", [](GgufWriter& w) { w.remove_key("tokenizer.ggml.tokens"); },
     "neither tokenizer.ggml.tokens"},
    {"tensor missing", [](GgufWriter& w) { w.remove_tensor("blk.1.ffn_up.weight"); },
     "'blk.1.ffn_up.weight' is missing"},
    {"tensor transposed",
     [](GgufWriter& w) {
       w.tensor("blk.1.ffn_up.weight").dims = {12, 8};
     },
     "has shape [8, 12], want [12, 8]"},
    {"tensor unknown",
     [](GgufWriter& w) { w.add_tensor("blk.1.attn_output.bias", {8}, planted(0, 8)); },
     "'blk.1.attn_output.bias' is no part of the llama family"},
    {"biases of one layer only",
     [](GgufWriter& w) {
       for (const char* n : {"blk.0.attn_q.bias", "blk.0.attn_k.bias", "blk.0.attn_v.bias"})
         w.add_tensor(n, {n[11] == 'q' ? 8u : 4u}, planted(0, n[11] == 'q' ? 8 : 4));
     },
     "'blk.1.attn_q.bias' is missing"},
    {"norm quantised",
     [](GgufWriter& w) {
       w.remove_tensor("output_norm.weight");
       w.tensors.push_back({"output_norm.weight", {32}, 8, std::string(34, 'q')});
     },
     "'output_norm.weight' has shape [32], want [8]"},
};

TEST(GgufCheckpoint, RefusesEveryMutationByItsName) {
  for (const Mutation& m : kMutations) {
    SCOPED_TRACE(m.name);
    GgufWriter w = tiny_gguf();
    m.apply(w);
    expect_refused([&] { load(w); }, "tiny.gguf", m.words);
  }
}

TEST(GgufCheckpoint, RefusesAQuantisedNorm) {
  GgufWriter w = tiny_gguf();
  w.set_u32("llama.embedding_length", 32);
  w.set_u32("llama.attention.head_count", 8);
  w.set_u32("llama.attention.head_count_kv", 4);
  for (GgufWriter::Tensor& t : w.tensors) {
    for (uint64_t& d : t.dims) d *= d == 8 || d == 4 ? 4 : 1;
    uint64_t n = 1;
    for (const uint64_t d : t.dims) n *= d;
    // head: rows of F16; the others keep F32.
    t.data = t.name == "output.weight" ? std::string(n * 2, 'h') : raw(planted(0, n));
    if (t.name == "output.weight") t.type = 1;
  }
  EXPECT_EQ(load(w)->find("head")->dtype, kernels::Dtype::f16);
  retype(w, "token_embd.weight", 8, 6 * 34);
  EXPECT_EQ(load(w)->find("embed")->dtype, kernels::Dtype::q8_0);
  retype(w, "blk.0.ffn_norm.weight", 8, 34);
  expect_refused([&] { load(w); }, "tiny.gguf", "'blk.0.ffn_norm.weight' has type q8_0, want F32");
}

TEST(GgufCheckpoint, SaysSoWhenTheFileBecameShorter) {
  const support::TempFolder folder;
  const std::string bytes = tiny_gguf().bytes();
  const auto path = folder.write("tiny.gguf", bytes);
  const auto c = Checkpoint::open(path);
  EXPECT_EQ(c->files(), std::vector<std::filesystem::path>{path});
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(bytes.size() / 2)), 0);
  std::vector<float> rows(96);
  const TensorInfo* t = c->find("layers.1.experts.0.down");
  expect_refused([&] { c->read_rows(*t, 0, 8, rows.data()); }, "tiny.gguf", "became shorter");
}

}  // namespace
}  // namespace engine::test_support
