// The whole conversion on small random parents: what it must keep.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/convert/nested_writer.h"
#include "engine/convert/plan_layer.h"
#include "engine/model_file/gguf.h"
#include "engine/model_file_error.h"
#include "engine/moe_layer.h"
#include "kernels/elementwise.h"
#include "tests/engine/convert/conversions.h"
#include "tests/support/gguf_writer.h"

namespace {

using namespace conversions;
using kernels::Dtype;

double largest(const std::vector<float>& v) {
  double m = 0;
  for (const float f : v) m = std::max(m, static_cast<double>(std::abs(f)));
  return m;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double m = 0;
  for (size_t i = 0; i < a.size(); ++i) m = std::max(m, std::abs(static_cast<double>(a[i]) - b[i]));
  return m;
}

struct Parent {
  const char* family;
  Dtype dtype;
  bool interleaved;
};

class Identity : public testing::TestWithParam<Parent> {};

TEST_P(Identity, AllExpertsAreTheDequantisedParent) {
  auto config = test_support::tiny_config(GetParam().family);
  config.rope.interleaved = GetParam().interleaved;
  if (GetParam().interleaved) config.rope.frequency_factors = {1, 1.1f, 1.3f, 2, 2, 3, 4, 5};
  const TinyCheckpoint parent(config, GetParam().dtype);
  const TempFolder folder;
  const auto nested = converted(parent, folder);
  EXPECT_EQ(nested->config().family, "moeval_nested");
  EXPECT_EQ(nested->config().moe.n_experts, 16);
  EXPECT_EQ(nested->config().moe.d_expert, 6);
  EXPECT_EQ(nested->config().rope.frequency_factors, config.rope.frequency_factors);
  const auto tokens = random_tokens(90, 5);
  const auto dense = test_support::load(parent)->logits(tokens);
  const auto engine = test_support::load(*nested);
  EXPECT_LE(distance(engine->logits(tokens, budget(16)), dense), 1e-4 * largest(dense));
  EXPECT_EQ(engine->logits(tokens), engine->logits(tokens, budget(16)));  // trained k = all
  EXPECT_GT(distance(engine->logits(tokens, budget(1)), dense), 1e-2 * largest(dense));
}

INSTANTIATE_TEST_SUITE_P(
    Families, Identity,
    testing::Values(Parent{"llama", Dtype::f32, false}, Parent{"llama", Dtype::q4_1, true},
                    Parent{"llama", Dtype::q8_0, true}, Parent{"qwen2", Dtype::f32, false},
                    Parent{"qwen2", Dtype::bf16, false}, Parent{"qwen3", Dtype::f16, false}),
    [](const auto& p) {
      return std::string(p.param.family) + "_" + std::string(kernels::dtype_name(p.param.dtype));
    });

// The block applied expert by expert in ascending id: the fma chain of kernels/matmul.h inside each
// expert, then a sum from 0.
TEST(Identity, OfABlockIsBitwiseThePermutedReference) {
  const TinyCheckpoint parent(test_support::tiny_config(), Dtype::q5_1);
  const TempFolder folder;
  const auto nested = converted(parent, folder);
  kernels::ThreadPool pool(2);
  const engine::Weights dense = engine::load_weights(parent, pool);
  const engine::Weights weights = engine::load_weights(*nested, pool);
  const auto& c = nested->config();
  constexpr int64_t kRows = 7, kModel = 64, kWidth = 96, kSize = 6;

  const auto text = windows();
  Calibration calibration(parent.config(), dense, text, pool);
  std::vector<float> x(kRows * kModel);
  for (float& v : x) v = std::sin(static_cast<float>(&v - x.data()));
  Options options;
  options.active = 12;
  ASSERT_TRUE(calibration.advance(kGo));
  const engine::Expert& block = dense.layers[0].experts[0];
  const LayerPlan plan =
      plan_layer(block, calibration.ffn_inputs(), calibration.n_tokens(), 0, options, pool);
  std::vector<int32_t> sorted = plan.order;
  std::sort(sorted.begin(), sorted.end());
  for (int32_t j = 0; j < kWidth; ++j) ASSERT_EQ(sorted[j], j);

  std::vector<float> want(kRows * kModel), gate(kWidth), up(kWidth), row(kModel), down(kWidth);
  for (int64_t r = 0; r < kRows; ++r) {
    const auto chain = [&](const engine::Expert&, const kernels::PackedMatrix& m, int32_t neuron) {
      m.row(neuron, row.data());
      float sum = 0;
      for (int64_t i = 0; i < kModel; ++i) sum = std::fma(x[r * kModel + i], row[i], sum);
      return sum;
    };
    for (int64_t p = 0; p < kWidth; ++p) {
      gate[p] = chain(block, block.gate, plan.order[p]);
      up[p] = chain(block, block.up, plan.order[p]);
    }
    kernels::swiglu(gate.data(), up.data(), 1, kWidth, gate.data(), pool);
    for (int64_t i = 0; i < kModel; ++i) {
      block.down.row(i, down.data());
      float sum = 0;
      for (int64_t e = 0; e < 16; ++e) {
        float out = 0;
        for (int64_t p = e * kSize; p < (e + 1) * kSize; ++p) {
          out = std::fma(gate[p], down[plan.order[p]], out);
        }
        sum += out;
      }
      want[r * kModel + i] = sum;
    }
  }
  engine::MoeLayer layer(c, engine::GateNorm::model, kRows, 1, pool);
  engine::StepRouting routing(c, kRows);
  const auto all = budget(16);
  const std::vector<const engine::ExpertBudget*> budgets(kRows, &all);
  std::vector<float> got(kRows * kModel);
  routing.begin(kRows);
  layer.route(weights.layers[0], 0, x.data(), kRows, budgets.data(), routing);
  layer.run(weights.layers[0], 0, x.data(), kRows, routing, got.data());
  EXPECT_EQ(got, want);
}

// Mean output of a layer over the calibration rows at each k.
std::vector<double> mean_output(const Checkpoint& nested, const float* x, int64_t n, int32_t k) {
  kernels::ThreadPool pool(2);
  const engine::Weights weights = engine::load_weights(nested, pool);
  const auto& c = nested.config();
  engine::MoeLayer layer(c, engine::GateNorm::model, n, 1, pool);
  engine::StepRouting routing(c, n);
  const auto b = budget(k);
  const std::vector<const engine::ExpertBudget*> budgets(n, &b);
  std::vector<float> y(n * c.d_model);
  routing.begin(n);
  layer.route(weights.layers[0], 0, x, n, budgets.data(), routing);
  layer.run(weights.layers[0], 0, x, n, routing, y.data());
  std::vector<double> mean(c.d_model);
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t i = 0; i < c.d_model; ++i) {
      mean[i] += static_cast<double>(y[r * c.d_model + i]) / static_cast<double>(n);
    }
  }
  return mean;
}

double difference(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

// Where the choice does not depend on the token, the mean of what is left out is exact.
TEST(Compensation, KeepsTheMeanOfTheLayerOverTheCalibrationRows) {
  const TinyCheckpoint parent;
  kernels::ThreadPool pool(2);
  const engine::Weights dense = engine::load_weights(parent, pool);
  const auto text = windows();
  Calibration calibration(parent.config(), dense, text, pool);
  ASSERT_TRUE(calibration.advance(kGo));
  const int64_t n = calibration.n_tokens();
  const TempFolder folder;
  for (const RouterFit router : {RouterFit::ridge, RouterFit::static_order}) {
    Options with, without;
    with.router = without.router = router;
    without.compensate = false;
    const auto compensated = converted(parent, folder, with);
    const auto full = mean_output(*compensated, calibration.ffn_inputs(), n, 16);
    const double size = difference(full, std::vector<double>(full.size()));
    const int32_t last = router == RouterFit::ridge ? 2 : 15;
    for (int32_t k = 1; k <= last; ++k) {
      EXPECT_LT(difference(mean_output(*compensated, calibration.ffn_inputs(), n, k), full),
                1e-5 * size)
          << router_fit_name(router) << " k = " << k;
    }
    const auto plain = converted(parent, folder, without);
    EXPECT_GT(difference(mean_output(*plain, calibration.ffn_inputs(), n, 2), full), 0.05 * size);
  }
}

TEST(Conversion, DependsOnTheSeedAndNotOnThreads) {
  const TinyCheckpoint parent;
  const TempFolder folder;
  std::vector<std::string> bytes;
  for (const auto& [seed, threads] : {std::pair<uint64_t, int>{3, 1}, {3, 3}, {4, 1}}) {
    const auto out = folder.path() / fmt::format("m{}", bytes.size());
    Job job = job_of(parent, out);
    job.options.seed = seed;
    job.threads = threads;
    ASSERT_TRUE(convert_quietly(job).finished);
    bytes.push_back(slurp(out / "model.safetensors"));
    EXPECT_FALSE(std::filesystem::exists(out.string() + ".partial"));
    EXPECT_FALSE(std::filesystem::exists(out / "plans"));
  }
  EXPECT_FALSE(bytes[0].empty());
  EXPECT_TRUE(bytes[0] == bytes[1]);
  EXPECT_FALSE(bytes[0] == bytes[2]);
}

TEST(Conversion, EveryAblationWritesAModelThatRuns) {
  const TinyCheckpoint parent;
  const TempFolder folder;
  const auto tokens = random_tokens(40, 6);
  const auto dense = test_support::load(parent)->logits(tokens);
  for (const Partition partition :
       {Partition::coactivation, Partition::parameters, Partition::random, Partition::importance}) {
    for (const RouterFit router : {RouterFit::ridge, RouterFit::cmoe, RouterFit::gate_first,
                                   RouterFit::exact_norm, RouterFit::static_order}) {
      for (const bool compensate : {true, false}) {
        for (const int32_t n_shared : {0, 2, 15}) {
          SCOPED_TRACE(fmt::format("{} {} {} {}", partition_name(partition),
                                   router_fit_name(router), compensate, n_shared));
          Options o;
          o.partition = partition;
          o.router = router;
          o.compensate = compensate;
          o.n_shared = n_shared;
          const auto nested = converted(parent, folder, o);
          EXPECT_EQ(nested->config().moe.n_shared, n_shared);
          EXPECT_EQ(nested->config().moe.compensate, compensate);
          const auto engine = test_support::load(*nested);
          EXPECT_LE(distance(engine->logits(tokens, budget(16)), dense), 1e-4 * largest(dense));
          for (const int32_t k : {1, 3, 9}) {
            EXPECT_GT(distance(engine->logits(tokens, budget(k)), dense), 1e-4 * largest(dense));
          }
        }
      }
    }
  }
}

TEST(Conversion, StaticMaskRunsTheMostImportantNeuronsFirst) {
  const TinyCheckpoint parent;
  const TempFolder folder;
  Options o;
  o.partition = Partition::importance;
  o.router = RouterFit::static_order;
  const auto nested = converted(parent, folder, o);
  const auto engine = test_support::load(*nested);
  engine::Request r;
  r.tokens = random_tokens(20, 1);
  r.budget = budget(5);
  r.max_new_tokens = 3;
  const auto done = test_support::run_one(*engine, r);
  for (int32_t layer = 0; layer < 2; ++layer) {
    for (int32_t e = 0; e < 16; ++e) {
      EXPECT_EQ(done.trace.tokens_on(layer, e) > 0, e < 5) << layer << " " << e;
    }
  }
}

TEST(Conversion, HalvesAreWrittenOnRequest) {
  const TinyCheckpoint parent;
  const TempFolder folder;
  Options o;
  o.dtype = Dtype::f16;
  const auto nested = converted(parent, folder, o);
  EXPECT_EQ(nested->find("layers.0.experts.3.down")->dtype, Dtype::f16);
  EXPECT_EQ(nested->find("layers.0.router")->dtype, Dtype::f32);
  const auto tokens = random_tokens(40, 6);
  const auto dense = test_support::load(parent)->logits(tokens);
  const double gap = distance(test_support::load(*nested)->logits(tokens), dense);
  EXPECT_LE(gap, 1e-2 * largest(dense));
  EXPECT_GT(gap, 0);
  TinyCheckpoint wild;
  wild.change("layers.1.q", [](int64_t row, int64_t, float v) { return row == 3 ? 1e5f : v; });
  EXPECT_THROW(convert_quietly(job_of(wild, folder.path() / "wild", o)), engine::ModelFileError);
  // What was planned is not lost: the layers serve the other type.
  o.dtype = Dtype::f32;
  const auto again = convert_quietly(job_of(wild, folder.path() / "wild", o));
  EXPECT_TRUE(again.finished);
  EXPECT_EQ(again.layers_resumed, wild.config().n_layers);
}

TEST(Windows, AreCutAndSampledEvenly) {
  const auto cut =
      cut_windows({random_tokens(25, 1), random_tokens(3, 2), random_tokens(18, 3)}, 10);
  ASSERT_EQ(cut.size(), 4u);  // 10 + 10, the rest of 5 and of 3 dropped, 10 + 8
  EXPECT_EQ(count_tokens(cut), 38);
  std::vector<Window> many;
  for (engine::TokenId i = 0; i < 100; ++i) many.push_back(Window(10, i));
  const auto some = sample_windows(many, 200);
  EXPECT_EQ(count_tokens(some), 200);
  EXPECT_LT(some.front()[0], 6);
  EXPECT_GT(some.back()[0], 94);
  EXPECT_EQ(sample_windows(many, 0), many);
  EXPECT_EQ(sample_windows(many, 5000), many);
}

TEST(TokenizerFile, KeepsTheMetadataAndNoTensor) {
  support::GgufWriter w;
  w.add_string("general.architecture", "llama");
  w.add_strings("tokenizer.ggml.tokens", {"a", "b", "<|x|>"});
  w.add_u32("tokenizer.ggml.eos_token_id", 2);
  w.add_tensor("token_embd.weight", {4, 3}, std::vector<float>(12));
  const TempFolder folder;
  const auto parent = folder.write("parent.gguf", w.bytes());
  write_tokenizer(parent, folder.path());
  const auto got = engine::GgufFile::open(folder.path() / "tokenizer.gguf");
  EXPECT_TRUE(got.tensors().empty());
  EXPECT_EQ(got.string("general.architecture"), "llama");
  EXPECT_EQ(got.string_array("tokenizer.ggml.tokens")[2], "<|x|>");
  EXPECT_EQ(got.u32("tokenizer.ggml.eos_token_id"), 2u);
}

}  // namespace
