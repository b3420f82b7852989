#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "engine/model_file_error.h"
#include "tests/support/engine_runs.h"

namespace {

using engine::Completion;
using engine::FinishReason;
using engine::Outcome;
using engine::Request;
using engine::TokenId;
using test_support::load;
using test_support::random_tokens;
using test_support::run_all;
using test_support::run_one;
using test_support::tiny_config;
using test_support::TinyCheckpoint;
using testing::HasSubstr;

TokenId argmax(const float* x, size_t n) {
  return static_cast<TokenId>(std::max_element(x, x + n) - x);
}

double logprob(const float* x, size_t n, TokenId t) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i]));
  return x[t] - std::log(sum);
}

TEST(Generation, GreedyEqualsRecomputingEveryStepFromNothing) {
  for (const char* family : {"llama", "qwen2", "qwen3"}) {
    const TinyCheckpoint model(tiny_config(family));
    const auto engine = load(model);
    Request r;
    r.tokens = random_tokens(60, 4);
    r.max_new_tokens = 12;
    const Completion c = run_one(*engine, r);
    EXPECT_EQ(c.finish, FinishReason::length);
    std::vector<TokenId> text = r.tokens, expected;
    for (int i = 0; i < 12; ++i) {
      const auto all = engine->logits(text);
      expected.push_back(argmax(all.data() + (text.size() - 1) * 97, 97));
      text.push_back(expected.back());
    }
    EXPECT_EQ(c.tokens, expected) << family;
    EXPECT_GT(std::set<TokenId>(expected.begin(), expected.end()).size(), 2u);
  }
}

TEST(Scoring, EqualsTheLogSoftmaxOfTheWholeText) {
  const TinyCheckpoint model;
  const auto engine = load(model);
  Request r;
  r.tokens = random_tokens(66, 8);
  r.continuations = {{4}, random_tokens(7, 1), random_tokens(2, 2)};
  r.want_logits = true;
  {  // a continuation that greedy decoding would write
    Request greedy = r;
    greedy.continuations.clear();
    greedy.max_new_tokens = 3;
    r.continuations.push_back(run_one(*engine, greedy).tokens);
  }
  const Completion c = run_one(*engine, r);
  ASSERT_EQ(c.scores.size(), 4u);
  for (size_t i = 0; i < c.scores.size(); ++i) {
    const auto& continuation = r.continuations[i];
    auto text = r.tokens;
    text.insert(text.end(), continuation.begin(), continuation.end());
    const auto all = engine->logits(text);
    double sum = 0;
    ASSERT_EQ(c.scores[i].token_logprobs.size(), continuation.size());
    for (size_t j = 0; j < continuation.size(); ++j) {
      const double p = logprob(all.data() + (65 + j) * 97, 97, continuation[j]);
      EXPECT_NEAR(c.scores[i].token_logprobs[j], p, 1e-6);
      sum += p;
    }
    EXPECT_NEAR(c.scores[i].logprob, sum, 1e-9);
    EXPECT_EQ(c.scores[i].greedy, i == 3) << i;
    if (i == 0) {
      EXPECT_TRUE(std::equal(c.logits.begin(), c.logits.end(), all.begin() + 65 * 97));
    }
  }
  EXPECT_EQ(c.logits.size(), 97u);
}

TEST(Generation, SampledTextIsAFunctionOfItsSeed) {
  const TinyCheckpoint model;
  const auto engine = load(model);
  Request r;
  r.tokens = random_tokens(10, 4);
  r.max_new_tokens = 20;
  std::set<std::vector<TokenId>> texts;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    r.sampling = {1.0f, 0.95f, seed};
    const auto text = run_one(*engine, r).tokens;
    EXPECT_EQ(text, run_one(*engine, r).tokens);
    texts.insert(text);
  }
  EXPECT_EQ(texts.size(), 8u);
}

TEST(Generation, EndsAtAStopTokenWhichIsNotPartOfTheText) {
  const TinyCheckpoint model;
  const auto engine = load(model);
  Request r;
  r.tokens = random_tokens(10, 4);
  r.max_new_tokens = 30;
  const auto free = run_one(*engine, r).tokens;
  ASSERT_EQ(free.size(), 30u);
  const size_t at =
      static_cast<size_t>(std::find(free.begin(), free.end(), free[9]) - free.begin());
  r.stop_tokens = {free[9]};
  const Completion c = run_one(*engine, r);
  EXPECT_EQ(c.finish, FinishReason::stop_token);
  EXPECT_EQ(c.tokens, std::vector<TokenId>(free.begin(), free.begin() + static_cast<long>(at)));
}

TEST(Generation, EndsWhenTheCallerSaysSoAndKeepsTheToken) {
  const TinyCheckpoint model;
  const auto engine = load(model);
  Request r;
  r.tokens = random_tokens(10, 4);
  r.max_new_tokens = 30;
  r.on_token = [](std::span<const TokenId> tokens) { return tokens.size() < 4; };
  const Completion c = run_one(*engine, r);
  EXPECT_EQ(c.finish, FinishReason::stopped);
  EXPECT_EQ(c.tokens.size(), 4u);
}

TEST(Generation, EndsWhenTheContextIsFull) {
  const TinyCheckpoint model;
  engine::EngineOptions o;
  o.threads = 1;
  o.max_tokens = 20;
  const auto engine = engine::Engine::load(model, o);
  EXPECT_EQ(engine->max_tokens(), 20);
  Request r;
  r.tokens = random_tokens(17, 4);
  r.max_new_tokens = 100;
  Completion c = run_one(*engine, r);
  EXPECT_EQ(c.finish, FinishReason::length);
  EXPECT_EQ(c.tokens.size(), 4u);  // after positions 16, 17, 18, 19
  r.tokens = random_tokens(20, 4);
  c = run_one(*engine, r);
  EXPECT_EQ(c.tokens.size(), 1u);
}

TEST(TooLong, IsAnOutcomeThatNamesBothNumbers) {
  const TinyCheckpoint model;
  const auto engine = load(model);
  Request fits, prompt, continuation;
  fits.id = 1;
  fits.tokens = random_tokens(250, 1);
  fits.continuations = {random_tokens(7, 2)};
  prompt.id = 2;
  prompt.tokens = random_tokens(257, 1);
  prompt.max_new_tokens = 1;
  continuation.id = 3;
  continuation.tokens = random_tokens(250, 1);
  continuation.continuations = {{1}, random_tokens(8, 2)};
  const auto done = run_all(*engine, {prompt, fits, continuation});
  EXPECT_EQ(done.at(1).outcome, Outcome::ok);
  EXPECT_EQ(done.at(2).outcome, Outcome::too_long);
  EXPECT_THAT(done.at(2).detail, testing::AllOf(HasSubstr("257"), HasSubstr("256")));
  EXPECT_EQ(done.at(3).outcome, Outcome::too_long);
  EXPECT_THAT(done.at(3).detail, testing::AllOf(HasSubstr("257"), HasSubstr("256")));
  EXPECT_EQ(done.at(3).ledger.executed_flops(), 0u);
  EXPECT_THROW(engine->make_prefix(prompt.tokens, {}, nullptr), std::length_error);
  EXPECT_THROW(engine->logits(prompt.tokens), std::length_error);
}

TEST(Requests, ThatNameNoTokenOfTheModelAreRefused) {
  const TinyCheckpoint model;
  const auto engine = load(model);
  Request r;
  EXPECT_THROW(run_one(*engine, r), std::invalid_argument);
  r.tokens = {97};
  EXPECT_THROW(run_one(*engine, r), std::invalid_argument);
  r.tokens = {-1};
  EXPECT_THROW(run_one(*engine, r), std::invalid_argument);
  r.tokens = {1};
  r.continuations = {{}};
  EXPECT_THROW(run_one(*engine, r), std::invalid_argument);
  r.continuations = {{100}};
  EXPECT_THROW(run_one(*engine, r), std::invalid_argument);
  r.continuations.clear();
  r.budget.k = 2;
  EXPECT_THROW(run_one(*engine, r), std::invalid_argument);
  r.budget.k = 1;
  EXPECT_EQ(run_one(*engine, r).outcome, Outcome::ok);  // the engine is still whole
}

TEST(Scheduler, RefillsFreedSlotsAndNeverDecodesMoreThanItsStreams) {
  const TinyCheckpoint model;
  const auto engine = load(model, 32, 4);
  std::set<uint64_t> active;
  size_t most = 0, completed = 0;
  uint64_t pulled = 0;
  double largest_batch = 0;
  const std::atomic<bool> stop{false};
  engine->run(
      [&]() -> std::optional<Request> {
        if (pulled == 30) return std::nullopt;
        Request r;
        r.id = ++pulled;
        r.tokens = random_tokens(1 + r.id % 5, r.id);
        r.max_new_tokens = static_cast<int32_t>(2 + r.id * 7 % 11);
        r.on_token = [&, id = r.id](auto) {
          active.insert(id);
          most = std::max(most, active.size());
          return true;
        };
        return r;
      },
      [&](Completion c) {
        ++completed;
        active.erase(c.id);
        EXPECT_EQ(c.tokens.size(), 2 + c.id * 7 % 11);
        largest_batch = std::max(largest_batch, c.timing.mean_batch_rows);
        EXPECT_LE(pulled, completed + 5);  // four streams and one that waits
      },
      stop);
  EXPECT_EQ(completed, 30u);
  EXPECT_EQ(most, 4u);
  EXPECT_GT(largest_batch, 2.0);
}

TEST(Scheduler, LetsScoringRequestsRunWhileStreamsAreBusy) {
  const TinyCheckpoint model;
  const auto engine = load(model, 32, 1);
  std::vector<Request> requests(3);
  for (size_t i = 0; i < 3; ++i) {
    requests[i].id = i + 1;
    requests[i].tokens = random_tokens(5, i);
  }
  requests[0].max_new_tokens = 40;
  requests[1].continuations = {{1}};
  requests[2].continuations = {{1}, {2, 3}};
  const auto done = run_all(*engine, requests);
  EXPECT_LT(done.at(2).timing.last_ns, done.at(1).timing.last_ns);
  EXPECT_LT(done.at(3).timing.last_ns, done.at(1).timing.last_ns);
}

TEST(Scheduler, EndsEverythingAsCancelledWhenStopped) {
  const TinyCheckpoint model;
  const auto engine = load(model, 32, 2);
  std::atomic<bool> stop{false};
  uint64_t pulled = 0;
  std::vector<Completion> done;
  engine->run(
      [&]() -> std::optional<Request> {
        Request r;
        r.id = ++pulled;
        r.tokens = random_tokens(3, r.id);
        r.max_new_tokens = r.id == 1 ? 3 : 50;
        return r;
      },
      [&](Completion c) {
        if (c.id == 1) stop = true;
        done.push_back(std::move(c));
      },
      stop);
  ASSERT_EQ(done.size(), pulled);
  EXPECT_EQ(done[0].outcome, Outcome::ok);
  for (size_t i = 1; i < done.size(); ++i) {
    EXPECT_EQ(done[i].outcome, Outcome::cancelled);
    EXPECT_FALSE(done[i].detail.empty());
  }
  EXPECT_GE(done.size(), 3u);  // one more stream, and the request that waited

  done.clear();
  engine->run([]() -> std::optional<Request> { return std::nullopt; }, [](Completion) {}, stop);
}

TEST(Timing, IsOrderedAndCountsSteps) {
  const TinyCheckpoint model;
  const auto engine = load(model);
  Request r;
  r.tokens = random_tokens(30, 1);
  r.max_new_tokens = 5;
  const Completion c = run_one(*engine, r);
  EXPECT_GT(c.timing.admitted_ns, 0);
  EXPECT_GE(c.timing.first_ns, c.timing.admitted_ns);
  EXPECT_GE(c.timing.last_ns, c.timing.first_ns);
  EXPECT_GT(c.timing.prefill_ns, 0);
  EXPECT_GT(c.timing.decode_ns, 0);
  EXPECT_GT(c.timing.longest_gap_ns, 0);
  EXPECT_LE(c.timing.prefill_ns + c.timing.decode_ns, c.timing.last_ns - c.timing.admitted_ns);
  EXPECT_DOUBLE_EQ(c.timing.mean_batch_rows, (30 + 4) / 5.0);
  EXPECT_EQ(c.prompt_tokens, 30);
}

TEST(LoadWeights, RefusesNanInfinityAndWrongShapes) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  {
    TinyCheckpoint model;
    model.change("layers.1.ffn_norm",
                 [&](int64_t, int64_t i, float v) { return i == 9 ? nan : v; });
    try {
      load(model);
      FAIL();
    } catch (const engine::ModelFileError& e) {
      EXPECT_THAT(e.what(), HasSubstr("layers.1.ffn_norm"));
    }
  }
  {
    TinyCheckpoint model;
    model.change("layers.0.experts.0.down", [&](int64_t row, int64_t i, float v) {
      return row == 3 && i == 1 ? std::numeric_limits<float>::infinity() : v;
    });
    EXPECT_THROW(load(model), engine::ModelFileError);
  }
  for (const auto dtype :
       {kernels::Dtype::f16, kernels::Dtype::bf16, kernels::Dtype::q8_0, kernels::Dtype::q4_0,
        kernels::Dtype::q4_1, kernels::Dtype::q5_0, kernels::Dtype::q5_1}) {
    TinyCheckpoint model(tiny_config(), dtype);
    EXPECT_NO_THROW(load(model, 8));
    const auto size = static_cast<size_t>(kernels::block_bytes(dtype));
    auto& bytes = model.bytes("layers.1.experts.0.up");
    bytes[5 * size] = bytes[5 * size + 1] = std::byte{0xff};  // a NaN in both 16-bit types
    EXPECT_THROW(load(model, 8), engine::ModelFileError) << kernels::dtype_name(dtype);
  }
  {
    TinyCheckpoint model;
    model.remove("layers.1.v");
    EXPECT_THROW(load(model), engine::ModelFileError);
  }
  {
    TinyCheckpoint model;
    model.config().d_model = 32;
    EXPECT_THROW(load(model), engine::ModelFileError);
  }
}

TEST(LoadWeights, KeepsTheStoredTypeInMemory) {
  auto config = tiny_config();
  config.d_model = 256;
  config.moe.d_shared = 256;
  config.n_heads = 16;
  using kernels::Dtype;
  for (const auto dtype : {Dtype::q4_k, Dtype::q5_k, Dtype::q6_k, Dtype::q4_1, Dtype::f16}) {
    const TinyCheckpoint model(config, dtype);
    uint64_t stored = 0;
    for (const auto& t : model.tensors()) {
      const int64_t rows = t.shape.size() == 2 ? (t.shape[0] + 63) / 64 * 64 : 1;
      stored += static_cast<uint64_t>(rows * kernels::row_bytes(t.dtype, t.shape.back()));
    }
    const auto engine = load(model, 8);
    EXPECT_EQ(engine->weight_bytes(), stored) << kernels::dtype_name(dtype);
    const auto logits = engine->logits(random_tokens(3, 1));
    for (const float v : logits) ASSERT_TRUE(std::isfinite(v));
  }
}

}  // namespace
