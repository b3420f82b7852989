// The engine on a GPU against the engine on the CPU, the GPU being the reference module: what is
// tested is the engine's part, from the requests to the arguments of the ops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "engine/prefix.h"
#include "tests/engine/device/families.h"
#include "tests/support/device_module_env.h"
#include "tests/support/device_runs.h"
#include "tests/support/marked_model.h"

namespace {

using device_case::Family;
using engine::ComputeLedger;
using engine::DeviceType;
using engine::Request;
using test_support::DeviceModuleGuard;
using test_support::EngineSizes;
using test_support::expect_same;
using test_support::expect_same_flops;
using test_support::load_on;
using test_support::random_tokens;
using test_support::run_all;
using test_support::sum_of_ledgers;
using test_support::TinyCheckpoint;

constexpr EngineSizes kSizes[] = {{7, 3}, {64, 16}, {512, 16}};

std::vector<Request> requests_for(const engine::ModelConfig& config) {
  return test_support::with_mixed_budgets(test_support::mixed_requests(), config.moe.max_k(),
                                          config.n_layers);
}

class DeviceEngine : public testing::TestWithParam<Family> {
 protected:
  const DeviceModuleGuard module_;
};

TEST_P(DeviceEngine, GivesWhatTheCpuGivesAndBooksWhatItLaunches) {
  const TinyCheckpoint model(GetParam().config);
  const auto requests = requests_for(model.config());
  for (const EngineSizes sizes : kSizes) {
    SCOPED_TRACE("rows " + std::to_string(sizes.rows));
    const auto cpu = load_on("cpu", model, sizes), gpu = load_on("cuda:0", model, sizes);
    const auto want = run_all(*cpu, requests), got = run_all(*gpu, requests);
    ASSERT_EQ(want.size(), requests.size());
    expect_same(want, got);
    expect_same_flops(sum_of_ledgers(got), gpu->launched());
  }
}

// Bytes of the fp32 tensors that a query of this trace used.
uint64_t bytes_used(const TinyCheckpoint& model, const engine::RoutingTrace& trace) {
  const engine::MoeConfig& moe = model.config().moe;
  uint64_t sum = 0;
  for (const engine::TensorInfo& t : model.tensors()) {
    int layer = 0, expert = -1, end = 0;
    if (std::sscanf(t.name.c_str(), "layers.%d.%n", &layer, &end) == 1) {
      const std::string part = t.name.substr(static_cast<size_t>(end));
      std::sscanf(part.c_str(), "experts.%d.", &expert);
      bool chose = false;
      for (int32_t e = moe.n_shared; e < moe.n_experts; ++e) chose |= trace.tokens_on(layer, e) > 0;
      const bool scored = chose && expert >= moe.n_shared && part.ends_with(".gate") &&
                          moe.router == engine::RouterKind::gate_first;
      if (expert >= 0 && trace.tokens_on(layer, expert) == 0 && !scored) continue;
      const bool routes = part.starts_with("router") || part.starts_with("rep_") || part == "mix" ||
                          part == "activation_scale";
      if (routes && !chose) continue;
    }
    uint64_t bytes = 4;
    for (const int64_t n : t.shape) bytes *= static_cast<uint64_t>(n);
    sum += bytes;
  }
  return sum;
}

TEST_P(DeviceEngine, HoldsTheWeightsOnceAndSaysWhatAQueryUsed) {
  const TinyCheckpoint model(GetParam().config);
  const auto cpu = load_on("cpu", model), gpu = load_on("cuda:0", model);
  const uint64_t elements = static_cast<uint64_t>(gpu->parameters().total);
  EXPECT_GE(gpu->weight_bytes(), 4 * elements);  // parts begin at multiples of 256 bytes
  EXPECT_LE(gpu->weight_bytes(), 4 * elements + 256 * model.tensors().size());
  const auto requests = requests_for(model.config());
  for (const auto& [id, c] : run_all(*gpu, {requests[0], requests[1], requests[4], requests[11]})) {
    EXPECT_EQ(c.weight_bytes, bytes_used(model, c.trace)) << id;
  }
  std::vector<float> a(64), b(64);
  for (const engine::TokenId token : {0, 50, 96}) {
    cpu->embedding(token, a.data());
    gpu->embedding(token, b.data());
    EXPECT_EQ(a, b);
  }
}

TEST_P(DeviceEngine, GivesTheLogitsOfEveryPosition) {
  const TinyCheckpoint model(GetParam().config);
  const auto tokens = random_tokens(90, 21);
  const auto want = load_on("cpu", model)->logits(tokens);
  ASSERT_GT(*std::max_element(want.begin(), want.end()), 0.5f);
  for (const int64_t rows : {40, 512}) {
    test_support::expect_near(want, load_on("cuda:0", model, {rows, 16})->logits(tokens), 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, DeviceEngine, testing::ValuesIn(device_case::families()),
                         [](const auto& p) { return p.param.name; });

class DeviceSteps : public testing::Test {
 protected:
  const DeviceModuleGuard module_;
  const TinyCheckpoint moe_{test_support::tiny_moe_config(12, 2, 4)};
};

// Streams that generate together, each of another length: steps of 12 down to 1 rows, of which some
// are padded; every budget among them.
TEST_F(DeviceSteps, OfDecodingAreTheSameWhateverTheNumberOfStreams) {
  std::vector<Request> requests;
  for (uint64_t i = 0; i < 24; ++i) {
    Request r;
    r.id = i + 1;
    r.tokens = random_tokens(1 + i * 7 % 66, i);
    r.max_new_tokens = static_cast<int32_t>(2 + i % 12);
    if (i % 3 == 1) r.sampling = {1.0f, 0.95f, i};
    requests.push_back(std::move(r));
  }
  requests = test_support::with_mixed_budgets(std::move(requests), 14, 2);
  for (const int32_t streams : {1, 5, 12}) {
    SCOPED_TRACE("streams " + std::to_string(streams));
    // Where the rows are no more than the streams, the largest steps have no room to be padded.
    for (const int64_t rows : {int64_t{streams}, int64_t{100}}) {
      const EngineSizes sizes{rows, streams};
      const auto gpu = load_on("cuda:0", moe_, sizes);
      const auto got = run_all(*gpu, requests);
      expect_same(run_all(*load_on("cpu", moe_, sizes), requests), got);
      expect_same_flops(sum_of_ledgers(got), gpu->launched());
      expect_same(got, run_all(*gpu, requests), 0);  // all from the graphs of the first time
    }
  }
}

// Of the two layers one has nothing to choose in some of them.
TEST_F(DeviceSteps, OfOneBudgetAfterAnotherDoNotKnowOfEachOther) {
  const auto cpu = load_on("cpu", moe_), gpu = load_on("cuda:0", moe_);
  const std::vector<std::vector<int16_t>> budgets = {{1, 1}, {2, 14},  {14, 2}, {2, 2},
                                                     {5, 5}, {13, 13}, {3, 14}, {8, 8}};
  for (const auto& k : budgets) {
    Request r;
    r.tokens = random_tokens(5, 1);
    r.max_new_tokens = 6;
    r.budget.k_per_layer = k;
    r.budget.k = (k[0] + k[1]) / 2;
    expect_same(test_support::run_one(*cpu, r), test_support::run_one(*gpu, r));
  }
}

TEST_F(DeviceSteps, WeighExpertsByTheNormThatIsAskedFor) {
  for (const Family& f : device_case::sparse_families()) {
    if (f.name != "mixtral" && f.name != "qwen2_moe" && f.name != "qwen2_moe_two_shared") continue;
    SCOPED_TRACE(f.name);
    const TinyCheckpoint model(f.config);
    const auto all = requests_for(f.config);
    const std::vector<Request> requests(all.begin() + 1, all.begin() + 5);
    using engine::GateNorm;
    for (const GateNorm norm : {GateNorm::raw, GateNorm::renormalised, GateNorm::trained_mass}) {
      SCOPED_TRACE(engine::gate_norm_name(norm));
      const EngineSizes sizes{100, 4, norm};
      expect_same(run_all(*load_on("cpu", model, sizes), requests),
                  run_all(*load_on("cuda:0", model, sizes), requests));
    }
  }
}

// More rows of logits than are held at one time, single ones and whole ones.
TEST_F(DeviceSteps, AskTheHeadInAsManyPartsAsItTakes) {
  Request r;
  r.id = 1;
  r.tokens = random_tokens(20, 2);
  for (uint64_t i = 0; i < 5; ++i) r.continuations.push_back(random_tokens(90 + 20 * i, 30 + i));
  r.budget.k = 5;
  std::vector<Request> requests(3, r);
  requests[1].id = 2;
  requests[1].want_logits = true;
  requests[1].max_new_tokens = 3;  // beside its scores
  requests[2].id = 3;
  requests[2].tokens.resize(9);
  const EngineSizes sizes{700, 4};
  const auto gpu = load_on("cuda:0", moe_, sizes);
  const auto got = run_all(*gpu, requests);
  expect_same(run_all(*load_on("cpu", moe_, sizes), requests), got);
  expect_same_flops(sum_of_ledgers(got), gpu->launched());

  TinyCheckpoint longer(test_support::tiny_config());
  longer.config().max_tokens = 700;
  const auto tokens = random_tokens(600, 4);
  test_support::expect_near(load_on("cpu", longer)->logits(tokens),
                            load_on("cuda:0", longer, {700, 1})->logits(tokens), 1e-4);
}

TEST_F(DeviceSteps, ShareAPrefixThatEndsAnywhereInABlock) {
  const auto shared = random_tokens(130, 5);
  for (const size_t n : {1, 64, 80, 130}) {
    SCOPED_TRACE("prefix of " + std::to_string(n));
    const std::span<const engine::TokenId> head(shared.data(), n);
    auto requests = requests_for(moe_.config());
    for (Request& r : requests) {
      r.tokens.resize(std::min<size_t>(r.tokens.size(), 40));
      r.tokens.insert(r.tokens.begin(), head.begin(), head.end());
    }
    const auto cpu = load_on("cpu", moe_, {50, 3}), gpu = load_on("cuda:0", moe_, {50, 3});
    const auto whole = run_all(*load_on("cuda:0", moe_, {50, 3}), requests);
    auto on_cpu = requests;
    ComputeLedger booked, booked_on_cpu;
    for (Request& r : on_cpu) r.prefix = cpu->make_prefix(head, r.budget, &booked_on_cpu);
    for (Request& r : requests) r.prefix = gpu->make_prefix(head, r.budget, &booked);
    EXPECT_EQ(booked, booked_on_cpu);
    const auto got = run_all(*gpu, requests);
    expect_same(run_all(*cpu, on_cpu), got);
    booked += sum_of_ledgers(got);
    expect_same_flops(booked, gpu->launched());
    for (const auto& [id, c] : got) {
      EXPECT_EQ(c.prefix_tokens, static_cast<int64_t>(n));
      EXPECT_EQ(c.tokens, whole.at(id).tokens);
      test_support::expect_same_choices(whole.at(id).trace, c.trace, 1e-6);
    }
  }
}

TEST_F(DeviceSteps, LeaveAPrefixItsMemoryWhenTheEngineIsGone) {
  std::shared_ptr<const engine::Prefix> prefix;
  {
    const auto gpu = load_on("cuda:0", moe_);
    prefix = gpu->make_prefix(random_tokens(70, 1), gpu->trained_budget(), nullptr);
  }
  EXPECT_EQ(prefix->kv().size(), 70);  // its blocks are freed at the end of the test
}

TEST_F(DeviceSteps, FailTheQueryWhoseRouterOverflowsAndNoOther) {
  const TinyCheckpoint model = test_support::model_with_a_wild_router();
  std::vector<Request> requests = test_support::healthy_requests();
  for (uint64_t i = 0; i < 12; ++i) {
    requests.push_back(test_support::broken_at(i, 20, 2 + static_cast<int32_t>(i % 3)));
    requests.back().id = 100 + i;
  }
  requests.push_back(test_support::broken_at(0, 6, 5));  // in a continuation
  requests.back().id = 200;
  requests.back().tokens[0] = 1;
  requests.back().continuations = {{4, 5}, {6, test_support::kBad, 8}};
  for (const EngineSizes sizes : {EngineSizes{40, 3}, EngineSizes{512, 16}}) {
    const auto gpu = load_on("cuda:0", model, sizes);
    const auto got = run_all(*gpu, requests);
    expect_same(run_all(*load_on("cpu", model, sizes), requests), got);
    for (const uint64_t id : {1, 12, 100, 103}) EXPECT_EQ(got.at(id).outcome, engine::Outcome::ok);
    EXPECT_EQ(got.at(101).detail, "router scores of layer 1 are not finite at position 1");
    EXPECT_EQ(got.at(200).detail, "router scores of layer 1 are not finite at position 7");
  }
  const auto healthy = test_support::healthy_requests();  // nothing stays behind in the memory
  const auto gpu = load_on("cuda:0", model, {40, 3});
  const auto before = run_all(*gpu, healthy);
  run_all(*gpu, requests);
  expect_same(before, run_all(*gpu, healthy), 0);
}

TEST_F(DeviceSteps, TellABrokenInputOfARouterAndBrokenLogits) {
  TinyCheckpoint model = test_support::marked_model(2);
  for (const char* name : {"layers.0.experts.0.gate", "layers.0.experts.0.up"}) {
    model.change(name, [](int64_t, int64_t column, float v) { return column == 0 ? 1e30f : v; });
  }
  for (const int32_t k : {2, 5}) {  // 2: nothing is routed, and the logits show it
    const Request r = test_support::broken_at(4, 5, k);
    const auto got = test_support::run_one(*load_on("cuda:0", model), r);
    expect_same(test_support::run_one(*load_on("cpu", model), r), got);
    EXPECT_EQ(got.outcome, engine::Outcome::not_finite);
    EXPECT_THAT(got.detail, testing::HasSubstr(k == 2 ? "logits after position 4"
                                                      : "neither is what the router reads there"));
  }
}

}  // namespace
