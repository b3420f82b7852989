// Logits of tiny random checkpoints against transformers (tests/engine/golden/README.md).
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/support/engine_runs.h"

namespace {

class Golden : public testing::TestWithParam<const char*> {};

TEST_P(Golden, LogitsAgreeWithTransformers) {
  const auto folder = std::filesystem::path(MOEVAL_SOURCE_DIR) / "tests/engine/golden" / GetParam();
  std::ifstream tokens_file(folder / "tokens.json");
  const auto tokens = nlohmann::json::parse(tokens_file).get<std::vector<engine::TokenId>>();
  const auto checkpoint = engine::Checkpoint::open(folder);
  std::vector<float> expected(tokens.size() * static_cast<size_t>(checkpoint->config().vocab));
  const auto bytes = static_cast<std::streamsize>(expected.size() * sizeof(float));
  std::ifstream logits_file(folder / "logits.f32", std::ios::binary);
  ASSERT_TRUE(logits_file.read(reinterpret_cast<char*>(expected.data()), bytes));

  for (const int64_t rows : {512, 7}) {
    const auto logits = test_support::load(*checkpoint, rows, 4, 2)->logits(tokens);
    ASSERT_EQ(logits.size(), expected.size());
    float largest = 0, difference = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      ASSERT_TRUE(std::isfinite(logits[i]));
      largest = std::max(largest, std::abs(expected[i]));
      difference = std::max(difference, std::abs(logits[i] - expected[i]));
    }
    EXPECT_LE(difference, 1e-4f * largest);
    RecordProperty("relative_difference", std::to_string(difference / largest));
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Golden,
                         testing::Values("llama", "llama_tied", "llama3_rope", "llama_linear_rope",
                                         "mistral", "qwen2", "qwen3"),
                         [](const auto& p) { return std::string(p.param); });

}  // namespace
