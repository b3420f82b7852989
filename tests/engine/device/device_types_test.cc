// Element types: what weights are stored in and what the GPU computes in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/model_file_error.h"
#include "tests/engine/device/families.h"
#include "tests/support/device_module_env.h"
#include "tests/support/device_runs.h"

namespace {

using engine::DeviceType;
using engine::ModelConfig;
using kernels::Dtype;
using test_support::DeviceModuleGuard;
using test_support::load_on;
using test_support::run_all;
using test_support::TinyCheckpoint;
using testing::HasSubstr;

// Rows that fill the blocks of every type.
ModelConfig wide_config() {
  ModelConfig c = test_support::tiny_moe_config(4, 1, 2);
  c.d_model = 256;
  c.n_heads = 4;
  c.d_head = c.rope.d_rot = 64;
  c.n_layers = 1;
  c.moe.d_expert = c.moe.d_shared = 256;
  return c;
}

class StoredType : public testing::TestWithParam<Dtype> {
 protected:
  const DeviceModuleGuard module_;
};

TEST_P(StoredType, IsExpandedOnLoad) {
  const TinyCheckpoint model(wide_config(), GetParam());
  const auto tokens = test_support::random_tokens(20, 3);
  const auto gpu = load_on("cuda:0", model), cpu = load_on("cpu", model);
  test_support::expect_near(cpu->logits(tokens), gpu->logits(tokens), 2e-4);
  EXPECT_GE(gpu->weight_bytes(), 4 * static_cast<uint64_t>(gpu->parameters().total));
  std::vector<float> a(256), b(256);
  cpu->embedding(41, a.data());
  gpu->embedding(41, b.data());
  EXPECT_EQ(a, b);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, StoredType,
                         testing::Values(Dtype::f32, Dtype::f16, Dtype::bf16, Dtype::q8_0,
                                         Dtype::q4_0, Dtype::q4_1, Dtype::q5_0, Dtype::q5_1,
                                         Dtype::q4_k, Dtype::q5_k, Dtype::q6_k),
                         [](const auto& p) { return std::string(kernels::dtype_name(p.param)); });

// Root of the mean square of the differences of logits, all experts of every token run: no choice
// that rounding could turn.
double distance(const ModelConfig& config, Dtype stored, DeviceType type) {
  const TinyCheckpoint model(config, stored);
  engine::ExpertBudget all;
  all.k = config.moe.max_k();
  const auto tokens = test_support::random_tokens(40, 3);
  const auto want = load_on("cpu", model)->logits(tokens, all);
  const auto gpu = load_on("cuda:0", model, {}, type);
  const auto got = gpu->logits(tokens, all);
  EXPECT_LE(gpu->weight_bytes(),
            (type == DeviceType::f32 ? 5 : 3) * static_cast<uint64_t>(gpu->parameters().total));
  double sum = 0;
  for (size_t i = 0; i < want.size(); ++i) sum += std::pow(want[i] - got[i], 2);
  return std::sqrt(sum / static_cast<double>(want.size()));
}

TEST(ComputedType, IsNearTheCpuByTheBitsItHas) {
  const DeviceModuleGuard module;
  for (const device_case::Family& f : device_case::families()) {
    if (f.config.moe.n_experts > 16) continue;
    SCOPED_TRACE(f.name);
    const double f32 = distance(f.config, Dtype::f32, DeviceType::f32);
    const double f16 = distance(f.config, Dtype::f32, DeviceType::f16);
    const double bf16 = distance(f.config, Dtype::f32, DeviceType::bf16);
    EXPECT_LT(f32, 1e-5);
    EXPECT_LT(f16, 0.01);
    EXPECT_LT(bf16, 0.08);
    EXPECT_GT(bf16, 3 * f16);  // 3 bits more
    EXPECT_GT(f16, 3 * f32);
  }
}

// Requests of every kind and budget: rounding may turn a choice, but books stay exact.
TEST(ComputedType, KeepsTheBooksWhateverIsChosen) {
  const DeviceModuleGuard module;
  for (const auto& config : {test_support::tiny_moe_config(12, 2, 4),
                             test_support::tiny_nested_config(engine::RouterKind::gate_first)}) {
    const TinyCheckpoint model(config, Dtype::bf16);
    const auto requests = test_support::with_mixed_budgets(test_support::mixed_requests(),
                                                           config.moe.max_k(), config.n_layers);
    const auto want = run_all(*load_on("cpu", model), requests);
    for (const DeviceType type : {DeviceType::bf16, DeviceType::f16}) {
      const auto gpu = load_on("cuda:0", model, {64, 4}, type);
      EXPECT_EQ(gpu->device().type, engine::device_type_name(type));
      const auto got = run_all(*gpu, requests);
      test_support::expect_same_flops(test_support::sum_of_ledgers(got), gpu->launched());
      double difference = 0, n = 0;
      for (const auto& [id, c] : got) {
        EXPECT_EQ(c.outcome, engine::Outcome::ok) << c.detail;
        ASSERT_EQ(c.scores.size(), want.at(id).scores.size());
        for (size_t i = 0; i < c.scores.size(); ++i, ++n) {
          difference += std::abs(c.scores[i].logprob - want.at(id).scores[i].logprob) /
                        static_cast<double>(c.scores[i].token_logprobs.size());
        }
      }
      EXPECT_LT(difference / n, type == DeviceType::f16 ? 0.05 : 0.2);
    }
  }
}

TEST(ComputedType, F16RefusesWhatItCannotHold) {
  const DeviceModuleGuard module;
  TinyCheckpoint model;
  model.change("layers.1.o", [](int64_t row, int64_t column, float v) {
    return row == 3 && column == 5 ? -7e4f : v;
  });
  try {
    load_on("cuda:0", model, {}, DeviceType::f16);
    ADD_FAILURE() << "no error";
  } catch (const engine::ModelFileError& e) {
    EXPECT_THAT(e.what(), HasSubstr("tensor layers.1.o: -70000 in row 3 does not fit f16"));
    EXPECT_THAT(e.what(), HasSubstr("--device-dtype bf16"));
  }
  load_on("cuda:0", model, {}, DeviceType::bf16);
}

}  // namespace
