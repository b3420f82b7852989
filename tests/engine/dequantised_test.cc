// The default model as stored (Q4_1, Q8_0) against a run of its dequantised fp32 weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/engine.h"
#include "engine/tokenizer.h"
#include "kernels/dtype.h"

namespace {

// Another checkpoint with every tensor expanded to fp32 as it is read.
class Dequantised : public engine::Checkpoint {
 public:
  explicit Dequantised(const engine::Checkpoint& stored) : stored_(stored) {
    tensors_ = stored.tensors();
    for (auto& t : tensors_) t.dtype = kernels::Dtype::f32;
  }
  const engine::ModelConfig& config() const override { return stored_.config(); }
  const std::filesystem::path& path() const override { return stored_.path(); }
  const std::vector<engine::TensorInfo>& tensors() const override { return tensors_; }
  void read_rows(const engine::TensorInfo& t, int64_t first, int64_t n, void* dst) const override {
    const auto* original = stored_.find(t.name);
    const int64_t columns = original->shape.back();
    std::vector<std::byte> row(static_cast<size_t>(kernels::row_bytes(original->dtype, columns)));
    for (int64_t i = 0; i < n; ++i) {
      stored_.read_rows(*original, first + i, 1, row.data());
      kernels::dequantise_row(original->dtype, row.data(), static_cast<float*>(dst) + i * columns,
                              columns);
    }
  }
  std::vector<std::filesystem::path> files() const override { return stored_.files(); }

 private:
  const engine::Checkpoint& stored_;
  std::vector<engine::TensorInfo> tensors_;
};

TEST(DefaultModel, StoredTypesGiveTheLogitsOfTheDequantisedWeights) {
  const char* path = std::getenv("MOEVAL_MODEL");
  if (path == nullptr) GTEST_SKIP() << "MOEVAL_MODEL does not name the default model's file";
  const auto stored = engine::Checkpoint::open(path);
  const Dequantised plain(*stored);
  const auto tokenizer = engine::Tokenizer::load(path);
  const auto ids = tokenizer->encode(
      "The following are multiple choice questions (with answers) about astronomy.\n\n"
      "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n",
      false, false);
  engine::EngineOptions options;
  options.threads = 2;
  const auto a = engine::Engine::load(*stored, options)->logits(ids);
  const auto b = engine::Engine::load(plain, options)->logits(ids);
  ASSERT_EQ(a.size(), b.size());
  float largest = 0, difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::fabs(b[i]));
    difference = std::max(difference, std::fabs(a[i] - b[i]));
  }
  EXPECT_GT(largest, 5.0f);
  EXPECT_LE(difference, 1e-3f * largest);
}

}  // namespace
