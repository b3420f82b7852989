// Logits of tiny random checkpoints against transformers (tests/engine/golden/README.md).
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "engine/model_file/formats.h"
#include "tests/support/engine_runs.h"
#include "tests/support/moe_gguf.h"

namespace {

std::filesystem::path folder_of(const std::string& name) {
  return std::filesystem::path(MOEVAL_SOURCE_DIR) / "tests/engine/golden" / name;
}

std::vector<engine::TokenId> tokens_of(const std::string& name) {
  std::ifstream file(folder_of(name) / "tokens.json");
  return nlohmann::json::parse(file).get<std::vector<engine::TokenId>>();
}

std::vector<float> floats_of(const std::filesystem::path& path) {
  std::vector<float> values(std::filesystem::file_size(path) / sizeof(float));
  std::ifstream file(path, std::ios::binary);
  const auto bytes = static_cast<std::streamsize>(values.size() * sizeof(float));
  EXPECT_TRUE(file.read(reinterpret_cast<char*>(values.data()), bytes)) << path;
  return values;
}

// The largest difference, as a share of the largest expected logit.
float relative_difference(std::span<const float> logits, std::span<const float> expected) {
  EXPECT_EQ(logits.size(), expected.size());
  float largest = 0, difference = 0;
  for (size_t i = 0; i < std::min(logits.size(), expected.size()); ++i) {
    EXPECT_TRUE(std::isfinite(logits[i]));
    largest = std::max(largest, std::abs(expected[i]));
    difference = std::max(difference, std::abs(logits[i] - expected[i]));
  }
  return difference / largest;
}

class Golden : public testing::TestWithParam<const char*> {};

TEST_P(Golden, LogitsAgreeWithTransformers) {
  const auto tokens = tokens_of(GetParam());
  const auto checkpoint = engine::Checkpoint::open(folder_of(GetParam()));
  const auto expected = floats_of(folder_of(GetParam()) / "logits.f32");
  for (const int64_t rows : {512, 7}) {
    const float d =
        relative_difference(test_support::load(*checkpoint, rows, 4, 2)->logits(tokens), expected);
    EXPECT_LE(d, 1e-4f);
    RecordProperty("relative_difference", std::to_string(d));
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Golden,
                         testing::Values("llama", "llama_tied", "llama3_rope", "llama_linear_rope",
                                         "mistral", "qwen2", "qwen3", "mixtral", "olmoe",
                                         "qwen2_moe", "qwen2_moe_fused", "qwen3_moe"),
                         [](const auto& p) { return std::string(p.param); });

class GoldenMoe : public testing::TestWithParam<const char*> {
 protected:
  // At every k, in the order of logits_by_k.f32.
  void expect_logits_at_every_k(const engine::Checkpoint& checkpoint, int64_t rows) const {
    const auto tokens = tokens_of(GetParam());
    const auto expected = floats_of(folder_of(GetParam()) / "logits_by_k.f32");
    const engine::ModelConfig& config = checkpoint.config();
    const size_t n = tokens.size() * static_cast<size_t>(config.vocab);
    ASSERT_EQ(expected.size(), n * static_cast<size_t>(config.moe.max_k()));
    const auto engine = test_support::load(checkpoint, rows, 4, 2);
    float largest = 0;
    for (int32_t k = 1; k <= config.moe.max_k(); ++k) {
      engine::ExpertBudget budget;
      budget.k = k;
      const auto at_k = std::span(expected).subspan(static_cast<size_t>(k - 1) * n, n);
      const float d = relative_difference(engine->logits(tokens, budget), at_k);
      EXPECT_LE(d, 1e-4f) << "k " << k;
      largest = std::max(largest, d);
    }
    RecordProperty("relative_difference", std::to_string(largest));
  }
};

TEST_P(GoldenMoe, LogitsAgreeWithTransformersAtEveryK) {
  const auto checkpoint = engine::Checkpoint::open(folder_of(GetParam()));
  for (const int64_t rows : {512, 7}) expect_logits_at_every_k(*checkpoint, rows);
}

TEST_P(GoldenMoe, GgufGivesThemToo) {
  const auto checkpoint = engine::Checkpoint::open(folder_of(GetParam()));
  for (const auto layout : {support::ExpertLayout::stacked, support::ExpertLayout::separate}) {
    support::GgufWriter writer = support::moe_gguf(*checkpoint, layout);
    const std::string arch = writer.key("general.architecture").payload.substr(sizeof(uint64_t));
    writer.add_bool(arch + ".expert_weights_norm", checkpoint->config().moe.renormalise);
    const auto source = engine::ByteSource::from_memory("moe.gguf", writer.bytes());
    expect_logits_at_every_k(*engine::open_gguf_checkpoint(source, "moe.gguf"), 512);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenMoe,
                         testing::Values("mixtral", "olmoe", "qwen2_moe", "qwen2_moe_fused",
                                         "qwen3_moe"),
                         [](const auto& p) { return std::string(p.param); });

}  // namespace
