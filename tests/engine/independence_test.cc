// Invariant 3: a query's result does not depend on its batch companions, on the options of the
// engine, on threads, nor on what was computed before it.
#include <gtest/gtest.h>

#include "engine/prefix.h"
#include "tests/support/engine_runs.h"

namespace {

using engine::Completion;
using engine::Request;
using kernels::Dtype;
using test_support::load;
using test_support::mixed_requests;
using test_support::run_all;
using test_support::run_one;
using test_support::TinyCheckpoint;

void expect_independent(const Completion& a, const Completion& b) {
  SCOPED_TRACE("request " + std::to_string(a.id));
  EXPECT_EQ(a.outcome, b.outcome);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.finish, b.finish);
  EXPECT_EQ(a.logits, b.logits);
  EXPECT_EQ(a.trace, b.trace);
  ASSERT_EQ(a.scores.size(), b.scores.size());
  for (size_t i = 0; i < a.scores.size(); ++i) {
    EXPECT_EQ(a.scores[i].logprob, b.scores[i].logprob);
    EXPECT_EQ(a.scores[i].token_logprobs, b.scores[i].token_logprobs);
    EXPECT_EQ(a.scores[i].greedy, b.scores[i].greedy);
  }
}

std::map<uint64_t, Completion> run_each_alone(engine::Engine& engine) {
  std::map<uint64_t, Completion> alone;
  for (const Request& r : mixed_requests()) alone.merge(run_all(engine, {r}));
  return alone;
}

class Independence : public testing::TestWithParam<Dtype> {};

TEST_P(Independence, OfBatchCompanionsBatchSizesStreamsAndThreads) {
  const TinyCheckpoint model(test_support::tiny_config(), GetParam());
  const auto alone = run_each_alone(*load(model));
  ASSERT_EQ(alone.size(), mixed_requests().size());
  struct {
    int64_t rows;
    int32_t streams;
    int threads;
  } const variants[] = {{512, 16, 1}, {512, 16, 3}, {64, 2, 1}, {7, 3, 3}, {1, 1, 1}};
  for (const auto& v : variants) {
    SCOPED_TRACE("rows " + std::to_string(v.rows) + " threads " + std::to_string(v.threads));
    const auto engine = load(model, v.rows, v.streams, v.threads);
    const auto together = run_all(*engine, mixed_requests());
    ASSERT_EQ(together.size(), alone.size());
    for (const auto& [id, completion] : alone) expect_independent(completion, together.at(id));
  }
}

TEST_P(Independence, OfCompanionsWithOtherBudgetsAndOfRanks) {
  const TinyCheckpoint model(test_support::tiny_moe_config(12, 2, 4), GetParam());
  const auto requests = test_support::with_mixed_budgets(mixed_requests(), 14, 2);
  const auto one = load(model);
  std::map<uint64_t, Completion> alone;
  for (const Request& r : requests) alone.merge(run_all(*one, {r}));
  ASSERT_EQ(alone.size(), requests.size());
  struct {
    int64_t rows;
    int32_t streams;
    int threads, ranks;
  } const variants[] = {
      {512, 16, 1, 1}, {512, 16, 3, 1}, {64, 2, 2, 2}, {7, 3, 1, 3}, {1, 1, 2, 8}};
  for (const auto& v : variants) {
    SCOPED_TRACE("rows " + std::to_string(v.rows) + " ranks " + std::to_string(v.ranks));
    const auto engine = load(model, v.rows, v.streams, v.threads, v.ranks);
    const auto together = run_all(*engine, requests);
    ASSERT_EQ(together.size(), alone.size());
    for (const auto& [id, completion] : alone) expect_independent(completion, together.at(id));
  }
}

TEST(Independence, OfTheStepsThatMarginsAreSummedIn) {
  // Router scores far apart: margins of many orders of magnitude, whose sum knows its order.
  TinyCheckpoint model(test_support::tiny_moe_config(12, 2, 4));
  for (const char* name : {"layers.0.router", "layers.1.router"}) {
    model.change(name, [](int64_t, int64_t, float v) { return 12 * v; });
  }
  Request r;
  r.id = 1;
  r.tokens = test_support::random_tokens(150, 3);
  r.continuations = {test_support::random_tokens(30, 4), test_support::random_tokens(40, 5)};
  r.budget.k = 5;
  const Completion whole = run_one(*load(model), r);
  for (const int64_t rows : {1, 7, 33}) {
    SCOPED_TRACE(rows);
    expect_independent(whole, run_one(*load(model, rows, 1), r));
  }
  const auto engine = load(model);
  for (const size_t n : {10, 77, 149}) {
    SCOPED_TRACE(n);
    Request with = r;
    with.prefix = engine->make_prefix({r.tokens.data(), n}, r.budget, nullptr);
    expect_independent(whole, run_one(*engine, with));
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Independence,
                         testing::Values(Dtype::f32, Dtype::bf16, Dtype::q8_0, Dtype::q4_1),
                         [](const auto& p) { return std::string(kernels::dtype_name(p.param)); });

TEST(Independence, OfThePlaceWhereAPromptIsCutIntoPrefixAndRest) {
  const TinyCheckpoint model;
  const auto engine = load(model);
  Request r;
  r.tokens = test_support::random_tokens(140, 3);
  r.continuations = {{1}, {2, 3, 4, 5}};
  r.max_new_tokens = 5;
  r.want_logits = true;
  const Completion whole = run_one(*engine, r);
  ASSERT_EQ(whole.scores.size(), 2u);
  for (const size_t n : {1, 2, 63, 64, 65, 100, 127, 128, 129, 139, 140}) {
    SCOPED_TRACE("prefix of " + std::to_string(n));
    Request with = r;
    with.prefix = engine->make_prefix({r.tokens.data(), n}, {}, nullptr);
    const Completion c = run_one(*engine, with);
    expect_independent(whole, c);
    // The last prompt token always runs: its logits are the answer.
    EXPECT_EQ(c.prefix_tokens, static_cast<int64_t>(std::min<size_t>(n, 139)));
  }
}

TEST(Independence, OfAPrefixThatManyRequestsShare) {
  const TinyCheckpoint model;
  const auto engine = load(model, 50, 2, 2);
  const auto shared = test_support::random_tokens(70, 9);
  std::vector<Request> plain, with;
  const auto prefix = engine->make_prefix(shared, {}, nullptr);
  for (Request r : mixed_requests()) {
    r.tokens.insert(r.tokens.begin(), shared.begin(), shared.end());
    plain.push_back(r);
    r.prefix = prefix;
    with.push_back(r);
  }
  const auto a = run_all(*engine, plain), b = run_all(*engine, with);
  for (const auto& [id, completion] : a) {
    expect_independent(completion, b.at(id));
    EXPECT_EQ(completion.prefix_tokens, 0);
    EXPECT_EQ(b.at(id).prefix_tokens, 70);
  }
}

TEST(Independence, OfAPrefixThatIsNotTheirs) {
  const TinyCheckpoint model;
  const auto engine = load(model);
  Request r;
  r.tokens = test_support::random_tokens(100, 3);
  r.want_logits = true;
  const Completion plain = run_one(*engine, r);
  auto other = r.tokens;
  other[80] ^= 1;
  r.prefix = engine->make_prefix(other, {}, nullptr);
  const Completion c = run_one(*engine, r);
  expect_independent(plain, c);
  EXPECT_EQ(c.prefix_tokens, 80);
}

TEST(Independence, OfAnEarlierQueryWhoseValuesOverflowed) {
  // Dimension 0 of the residual stream is nonzero for token 7 alone, and drives the first layer's
  // feed-forward block into infinity.
  TinyCheckpoint model;
  model.change("embed", [](int64_t row, int64_t column, float v) {
    return column > 0 ? v : row == 7 ? 1.0f : 0.0f;
  });
  const auto first_row_zero = [](int64_t row, int64_t, float v) { return row == 0 ? 0.0f : v; };
  model.change("layers.0.o", first_row_zero);
  for (const char* name : {"layers.0.experts.0.gate", "layers.0.experts.0.up"}) {
    model.change(name, [](int64_t, int64_t column, float v) { return column == 0 ? 1e30f : v; });
  }
  std::vector<Request> healthy = mixed_requests();
  for (Request& r : healthy) {
    for (auto& t : r.tokens) t = t == 7 ? 8 : t;
    for (auto& c : r.continuations) {
      for (auto& t : c) t = t == 7 ? 8 : t;
    }
    r.stop_tokens.push_back(7);
  }
  const auto engine = load(model, 40, 3, 2);
  const auto before = run_all(*engine, healthy);
  for (const auto& [id, c] : before) ASSERT_EQ(c.outcome, engine::Outcome::ok) << id;

  std::vector<Request> mixed;
  for (const Request& r : healthy) {
    mixed.push_back(r);
    mixed.push_back(r);
    mixed.back().id += 100;
    mixed.back().tokens.front() = 7;
  }
  Request late;  // the prompt is healthy, a continuation is not
  late.id = 1000;
  late.tokens = {1, 2, 3};
  late.continuations = {{4, 5}, {6, 7, 8}};
  mixed.push_back(late);
  const auto together = run_all(*engine, mixed);
  for (const auto& [id, c] : before) expect_independent(c, together.at(id));
  int failed = 0;
  for (const auto& [id, c] : together) {
    if (id < 100) continue;
    const bool judged = id == 1000 || !c.scores.empty() || !c.tokens.empty() || !c.detail.empty();
    if (!judged) continue;
    EXPECT_EQ(c.outcome, engine::Outcome::not_finite) << id;
    EXPECT_FALSE(c.detail.empty());
    EXPECT_TRUE(c.scores.empty());
    ++failed;
  }
  EXPECT_GT(failed, 6);
  const auto after = run_all(*engine, healthy);
  for (const auto& [id, c] : before) expect_independent(c, after.at(id));
}

}  // namespace
