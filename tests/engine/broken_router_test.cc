// A router score that is not finite fails its own query, and the error names the layer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/prefix.h"
#include "tests/support/engine_runs.h"
#include "tests/support/marked_model.h"

namespace {

using engine::Completion;
using engine::Outcome;
using engine::Request;
using test_support::broken_at;
using test_support::healthy_requests;
using test_support::kBad;
using test_support::load;
using test_support::marked_model;
using test_support::model_with_a_wild_router;
using test_support::run_all;
using test_support::run_one;
using test_support::TinyCheckpoint;

TEST(BrokenRouter, FailsItsQueryWithItsLayerAndLeavesCompanionsAlone) {
  const TinyCheckpoint model = model_with_a_wild_router();
  const auto healthy = healthy_requests();
  for (const int ranks : {1, 3}) {
    const auto engine = load(model, 40, 3, 2, ranks);
    const auto before = run_all(*engine, healthy);
    std::vector<Request> mixed;
    for (const Request& r : healthy) {
      mixed.push_back(r);
      mixed.push_back(broken_at(r.id, 20, 5));
      mixed.back().id = r.id + 100;
    }
    for (const auto& [id, c] : run_all(*engine, mixed)) {
      SCOPED_TRACE(id);
      if (id > 100) {
        EXPECT_EQ(c.outcome, Outcome::not_finite);
        EXPECT_EQ(c.detail, "router scores of layer 1 are not finite at position " +
                                std::to_string(id - 100));
        EXPECT_TRUE(c.scores.empty());
        continue;
      }
      const Completion& want = before.at(id);
      EXPECT_EQ(c.outcome, Outcome::ok) << c.detail;
      EXPECT_EQ(c.tokens, want.tokens);
      EXPECT_EQ(c.logits, want.logits);
      EXPECT_EQ(c.trace, want.trace);
      ASSERT_EQ(c.scores.size(), want.scores.size());
      for (size_t i = 0; i < c.scores.size(); ++i) {
        EXPECT_EQ(c.scores[i].token_logprobs, want.scores[i].token_logprobs);
      }
    }
  }
}

TEST(BrokenRouter, DoesNoHarmWhereTheBudgetLeavesNothingToRoute) {
  const auto engine = load(model_with_a_wild_router());
  EXPECT_EQ(run_one(*engine, broken_at(4, 20, 2)).outcome, Outcome::ok);
  EXPECT_EQ(run_one(*engine, broken_at(4, 20, 3)).outcome, Outcome::not_finite);
}

TEST(BrokenRouter, IsFoundInPromptsContinuationsAndGeneratedText) {
  const auto engine = load(model_with_a_wild_router());
  Request r = broken_at(0, 6, 5);
  r.tokens[0] = 1;
  r.continuations = {{4, 5}, {6, kBad, 8}};
  EXPECT_EQ(run_one(*engine, r).detail, "router scores of layer 1 are not finite at position 7");
  r.continuations = {{4, 5}, {6, kBad}};  // the last token is not read
  EXPECT_EQ(run_one(*engine, r).outcome, Outcome::ok);
  // Dimension 1 is the same for all tokens and makes kBad the likeliest one.
  TinyCheckpoint model = model_with_a_wild_router();
  model.change("embed", [](int64_t, int64_t column, float v) { return column == 1 ? 50.0f : v; });
  const auto row_zero = [](int64_t row, int64_t, float v) { return row == 1 ? 0.0f : v; };
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    model.change(layer + "o", row_zero);
    for (int32_t e = 0; e < 14; ++e) {
      model.change(layer + "experts." + std::to_string(e) + ".down", row_zero);
    }
  }
  model.change("head", [](int64_t row, int64_t column, float v) {
    return row == kBad && column == 1 ? 100.0f : v;
  });
  r.continuations.clear();
  r.max_new_tokens = 5;
  const Completion c = run_one(*load(model), r);
  EXPECT_EQ(c.detail, "router scores of layer 1 are not finite at position 6");
  EXPECT_EQ(c.tokens, std::vector<engine::TokenId>{kBad});
}

// What is on record of a query that fails does not depend on the steps either.
TEST(BrokenRouter, GivesTheSameRecordWhateverTheStepsAndPrefixes) {
  const TinyCheckpoint model = model_with_a_wild_router();
  const Request r = broken_at(30, 90, 5);
  const Completion whole = run_one(*load(model), r);
  EXPECT_THAT(whole.detail, testing::HasSubstr("layer 1"));
  const auto expect_same = [&](const Completion& c) {
    EXPECT_EQ(c.outcome, whole.outcome);
    EXPECT_EQ(c.detail, whole.detail);
    EXPECT_EQ(c.trace, whole.trace);
    EXPECT_EQ(c.ledger.useful_flops(), whole.ledger.useful_flops());
  };
  for (const int64_t rows : {1, 7, 33, 64}) {
    SCOPED_TRACE(rows);
    expect_same(run_one(*load(model, rows, 1), r));
  }
  const auto engine = load(model);
  for (const size_t n : {10, 31, 77}) {
    SCOPED_TRACE(n);
    Request with = r;
    with.prefix = engine->make_prefix({r.tokens.data(), n}, r.budget, nullptr);
    expect_same(run_one(*engine, with));
  }
}

TEST(BrokenRouter, IsNotBlamedForWhatItRead) {
  TinyCheckpoint model = marked_model(2);
  for (const char* name : {"layers.0.experts.0.gate", "layers.0.experts.0.up"}) {
    model.change(name, [](int64_t, int64_t column, float v) { return column == 0 ? 1e30f : v; });
  }
  EXPECT_EQ(run_one(*load(model), broken_at(4, 20, 5)).detail,
            "router scores of layer 1 are not finite at position 4; neither is what the router "
            "reads there");
}

}  // namespace
