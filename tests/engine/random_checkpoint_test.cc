// Models of random weights: the published shapes, in every type, and the same bytes from the same
// seed.
#include "engine/random_checkpoint.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/engine.h"
#include "engine/model_file_error.h"
#include "engine/parameters.h"

namespace engine {
namespace {

using kernels::Dtype;
using ::testing::HasSubstr;

ModelConfig tiny() {
  ModelConfig c = named_shape("smollm2-135m-nested:2");
  c.d_model = 64;
  c.n_heads = 2;
  c.n_kv_heads = 1;
  c.d_head = c.rope.d_rot = 32;
  c.vocab = 96;
  c.moe.d_expert = c.moe.d_shared = 32;
  return c;
}

// Parameter counts: the model cards; Mixtral arXiv 2401.04088.
TEST(RandomCheckpoint, ShapesHaveThePublishedNumberOfParameters) {
  for (const auto& [name, total, active] :
       {std::tuple{"smollm2-135m", int64_t{134'515'008}, int64_t{134'515'008}},
        {"olmoe", 6'919'161'856, 1'282'017'280},
        {"mixtral-8x7b", 46'702'792'704, 12'879'925'248},
        {"qwen3-30b-a3b", 30'532'122'624, 3'353'032'704}}) {
    const ModelConfig c = named_shape(name);
    c.validate(name);
    const Parameters p = count_parameters(c);
    EXPECT_EQ(p.total, total) << name;
    EXPECT_EQ(p.active(c.moe, c.moe.trained_k), active) << name;
  }
  for (const auto& name : shape_names()) named_shape(name).validate(name);
  EXPECT_EQ(named_shape("olmoe:4").n_layers, 4);
}

TEST(RandomCheckpoint, NamesThatAreNoneAreErrors) {
  const auto error = [](const char* text) {
    try {
      named_shape(text);
    } catch (const ModelFileError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(error("olmo"), HasSubstr("the nearest is olmoe"));
  EXPECT_THAT(error("gpt"), HasSubstr("want one of smollm2-135m"));
  for (const char* text : {"olmoe:0", "olmoe:17", "olmoe:", "olmoe:4x", "olmoe:-1"})
    EXPECT_THAT(error(text), HasSubstr("want 1 to 16")) << text;
}

TEST(RandomCheckpoint, ElementsAreUniformOfTheVarianceThatKeepsStatesInRange) {
  for (const Dtype dtype : random_dtypes()) {
    SCOPED_TRACE(kernels::dtype_name(dtype));
    const auto a = make_random_checkpoint(tiny(), dtype, 3),
               same = make_random_checkpoint(tiny(), dtype, 3),
               other = make_random_checkpoint(tiny(), dtype, 4);
    const TensorInfo* t = a->find("embed");
    ASSERT_NE(t, nullptr);
    ASSERT_EQ(t->dtype, dtype);
    const int64_t rows = 96, n = 64;
    std::vector<std::byte> bytes(static_cast<size_t>(rows * kernels::row_bytes(dtype, n))),
        again = bytes, different = bytes;
    a->read_rows(*t, 0, rows, bytes.data());
    same->read_rows(*t, 0, rows, again.data());
    other->read_rows(*t, 0, rows, different.data());
    EXPECT_EQ(bytes, again);
    EXPECT_NE(bytes, different);
    // A row alone is the row among others.
    again.resize(static_cast<size_t>(kernels::row_bytes(dtype, n)));
    a->read_rows(*t, 5, 1, again.data());
    EXPECT_TRUE(
        std::equal(again.begin(), again.end(), bytes.begin() + 5 * kernels::row_bytes(dtype, n)));
    double sum = 0, squares = 0, most = 0;
    std::vector<float> row(static_cast<size_t>(n));
    for (int64_t r = 0; r < rows; ++r) {
      kernels::dequantise_row(dtype, bytes.data() + r * kernels::row_bytes(dtype, n), row.data(),
                              n);
      for (const float v : row) {
        sum += v;
        squares += double(v) * v;
        most = std::max(most, std::abs(double(v)));
      }
    }
    const double count = rows * n;
    EXPECT_NEAR(sum / count, 0, 0.02);
    EXPECT_NEAR(squares / count * n, 1, 0.15);
    EXPECT_LE(most, std::sqrt(3.0 / n) * 1.01);
  }
}

TEST(RandomCheckpoint, EveryTypeRunsAtEveryBudget) {
  for (const Dtype dtype : random_dtypes()) {
    SCOPED_TRACE(kernels::dtype_name(dtype));
    const auto checkpoint = make_random_checkpoint(tiny(), dtype, 1);
    const auto engine = Engine::load(*checkpoint, {.threads = 1});
    EXPECT_GE(engine->weight_bytes(), random_checkpoint_bytes(*checkpoint));
    for (const int k : {1, 3, 16}) {
      ExpertBudget budget;
      budget.k = k;
      const auto logits = engine->logits(std::vector<TokenId>{5, 9, 33}, budget);
      EXPECT_TRUE(
          std::all_of(logits.begin(), logits.end(), [](float v) { return std::isfinite(v); }));
      EXPECT_NE(*std::min_element(logits.begin(), logits.end()),
                *std::max_element(logits.begin(), logits.end()));
    }
  }
}

}  // namespace
}  // namespace engine
