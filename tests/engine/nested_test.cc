// Invariants 1 and 3 for the family moeval_nested with each of its routers, and what they cost.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/prefix.h"
#include "kernels/packed_layout.h"
#include "tests/support/engine_runs.h"

namespace {

using engine::Completion;
using engine::ComputeLedger;
using engine::Part;
using engine::Request;
using engine::RouterKind;
using kernels::Dtype;
using test_support::load;
using test_support::run_all;
using test_support::TinyCheckpoint;

struct Kind {
  const char* name;
  RouterKind router;
  bool same_for_all;  // scores do not depend on the token
};
constexpr Kind kKinds[] = {{"linear", RouterKind::linear, false},
                           {"static_order", RouterKind::linear, true},
                           {"representative", RouterKind::representative, false},
                           {"gate_first", RouterKind::gate_first, false},
                           {"exact_norm", RouterKind::exact_norm, false}};

TinyCheckpoint model_of(const Kind& kind, int32_t n_shared = 2, bool compensate = true,
                        Dtype dtype = Dtype::f32) {
  TinyCheckpoint model(test_support::tiny_nested_config(kind.router, n_shared, compensate), dtype);
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    if (!kind.same_for_all) continue;
    model.change(layer + "router", [](int64_t, int64_t, float) { return 0.0f; });
    model.change(layer + "router_bias",
                 [](int64_t, int64_t e, float) { return -static_cast<float>(e); });
  }
  return model;
}

std::vector<Request> requests() {
  return test_support::with_mixed_budgets(test_support::mixed_requests(), 16, 2);
}

void expect_conserved_nested(const ComputeLedger& booked, const ComputeLedger& launched) {
  for (int i = 0; i < engine::kParts; ++i) {
    const auto part = static_cast<Part>(i);
    EXPECT_EQ(booked.executed_flops(part), launched.executed_flops(part)) << part_name(part);
  }
  EXPECT_GT(launched.executed_flops(Part::router), 0u);
  EXPECT_GT(launched.executed_flops(Part::experts), 0u);
}

void expect_independent_nested(const Completion& a, const Completion& b) {
  SCOPED_TRACE("request " + std::to_string(a.id));
  EXPECT_EQ(a.outcome, engine::Outcome::ok) << a.detail;
  EXPECT_EQ(a.outcome, b.outcome);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.logits, b.logits);
  EXPECT_EQ(a.trace, b.trace);
  EXPECT_EQ(a.weight_bytes, b.weight_bytes);
  EXPECT_EQ(a.ledger, b.ledger);
  ASSERT_EQ(a.scores.size(), b.scores.size());
  for (size_t i = 0; i < a.scores.size(); ++i) {
    EXPECT_EQ(a.scores[i].token_logprobs, b.scores[i].token_logprobs);
  }
}

class Nested : public testing::TestWithParam<Kind> {};

TEST_P(Nested, BooksWhatTheOpsDidInEveryBatchAndNoMoreThanIsUseful) {
  for (const auto& [shared, compensate] : {std::pair{0, true}, {2, true}, {2, false}, {12, true}}) {
    const TinyCheckpoint model = model_of(GetParam(), shared, compensate);
    for (const int64_t rows : {1, 7, 33, 512}) {
      SCOPED_TRACE("shared " + std::to_string(shared) + " rows " + std::to_string(rows));
      const auto engine = load(model, rows, 3, 2, rows == 33 ? 3 : 1);
      ComputeLedger booked;
      const auto asked = requests();
      for (const auto& [id, c] : run_all(*engine, asked)) {
        booked += c.ledger;
        // Without a prefix and without scores beside an answer nothing is launched in vain.
        const Request& r = asked[id - 1];
        if (r.max_new_tokens > 0 && !r.continuations.empty()) continue;
        EXPECT_EQ(c.ledger.executed_flops(), c.ledger.useful_flops());
      }
      expect_conserved_nested(booked, engine->launched());
    }
  }
}

TEST_P(Nested, BooksAPrefixOnceAndItsUsersAsIfTheyWereAlone) {
  const TinyCheckpoint model = model_of(GetParam());
  const auto shared = test_support::random_tokens(80, 5);
  auto asked = requests();
  for (Request& r : asked) r.tokens.insert(r.tokens.begin(), shared.begin(), shared.end());
  const auto alone = run_all(*load(model, 64), asked);
  const auto engine = load(model, 64);
  ComputeLedger booked;
  for (Request& r : asked) r.prefix = engine->make_prefix(shared, r.budget, &booked);
  EXPECT_EQ(booked.useful_flops(), 0u);
  for (const auto& [id, c] : run_all(*engine, asked)) {
    booked += c.ledger;
    EXPECT_EQ(c.prefix_tokens, 80);
    EXPECT_EQ(c.trace, alone.at(id).trace);
    EXPECT_EQ(c.weight_bytes, alone.at(id).weight_bytes);
    EXPECT_EQ(c.ledger.useful_flops(), alone.at(id).ledger.useful_flops());
    EXPECT_LT(c.ledger.executed_flops(), alone.at(id).ledger.executed_flops());
  }
  expect_conserved_nested(booked, engine->launched());
}

TEST_P(Nested, IsBitwiseIndependentOfCompanionsThreadsAndRanks) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f16}) {
    const TinyCheckpoint model = model_of(GetParam(), 2, true, dtype);
    const auto one = load(model);
    std::map<uint64_t, Completion> alone;
    for (const Request& r : requests()) alone.merge(run_all(*one, {r}));
    ASSERT_EQ(alone.size(), requests().size());
    struct {
      int64_t rows;
      int32_t streams;
      int threads, ranks;
    } const variants[] = {
        {512, 16, 1, 1}, {512, 16, 3, 1}, {64, 2, 2, 2}, {7, 3, 1, 3}, {1, 1, 2, 2}};
    for (const auto& v : variants) {
      SCOPED_TRACE("rows " + std::to_string(v.rows) + " ranks " + std::to_string(v.ranks));
      const auto engine = load(model, v.rows, v.streams, v.threads, v.ranks);
      const auto together = run_all(*engine, requests());
      ASSERT_EQ(together.size(), alone.size());
      for (const auto& [id, c] : alone) expect_independent_nested(c, together.at(id));
    }
  }
}

TEST_P(Nested, CostsTheHandCountOfItsRouterAndExperts) {
  // d_model 64, 2 layers, 2 shared experts of 16, all 8 wide.
  const TinyCheckpoint model = model_of(GetParam());
  const auto engine = load(model);
  for (int32_t k = 1; k <= 16; ++k) {
    SCOPED_TRACE(k);
    Request r;
    r.tokens = test_support::random_tokens(9, 4);
    r.want_logits = true;
    r.budget.k = k;
    const auto c = test_support::run_one(*engine, r);
    const uint64_t linear = 2 * 14 * 64, block = 6 * 8 * 64;
    uint64_t router = 0;
    if (k > 2) router = linear;
    if (k > 2 && GetParam().router == RouterKind::representative) {
      router += 2 * (2 * 28 * 64) + 2 * 14 * 28;
    }
    if (k > 2 && GetParam().router == RouterKind::gate_first) router = 14 * block / 3;
    if (k > 2 && GetParam().router == RouterKind::exact_norm) router = 14 * block;
    EXPECT_EQ(c.ledger.useful_flops(Part::router), 9 * 2 * router);
    EXPECT_EQ(c.ledger.useful_flops(Part::experts), 9u * 2 * k * block);
    EXPECT_EQ(engine->cost_of(9, 1, r.budget).useful_flops(), c.ledger.useful_flops());
    EXPECT_EQ(c.trace.k_min(), k);
    EXPECT_EQ(c.trace.k_max(), k);
  }
}

// Bytes of a query beyond those of the same query with one expert, which routes nothing.
TEST_P(Nested, TouchesTheWeightsOfItsExpertsAndOfItsRouter) {
  const TinyCheckpoint model = model_of(GetParam());
  const auto engine = load(model);
  Request r;
  r.tokens = test_support::random_tokens(9, 4);
  r.want_logits = true;
  const auto least = test_support::run_one(*engine, r).weight_bytes;
  // Packed matrices are padded to whole panels of rows.
  const auto packed = [](uint64_t n_out, uint64_t n_in) {
    const uint64_t panels = (n_out + kernels::kPanelRows - 1) / kernels::kPanelRows;
    return panels * kernels::kPanelRows * n_in * sizeof(float);
  };
  const uint64_t block = 2 * packed(8, 64) + packed(64, 8);
  uint64_t router = packed(14, 64) + 14 * sizeof(float);
  if (GetParam().router == RouterKind::representative) {
    router += 2 * packed(28, 64) + packed(14, 28);
  }
  if (GetParam().router == RouterKind::gate_first) router = 14 * 8 * sizeof(float);
  if (GetParam().router == RouterKind::exact_norm) router = 0;
  for (const int32_t k : {2, 3, 5, 16}) {
    SCOPED_TRACE(k);
    r.budget.k = k;
    const auto c = test_support::run_one(*engine, r);
    uint64_t want = k > 2 ? 2 * router : 0;
    for (int32_t layer = 0; layer < 2; ++layer) {
      for (int32_t e = 1; e < 16; ++e) {
        const bool scored = k > 2 && e >= 2;
        if (c.trace.tokens_on(layer, e) > 0) {
          want += block;
        } else if (scored && GetParam().router == RouterKind::exact_norm) {
          want += block;
        } else if (scored && GetParam().router == RouterKind::gate_first) {
          want += packed(8, 64);
        }
      }
    }
    EXPECT_EQ(c.weight_bytes - least, want);
    EXPECT_LE(c.weight_bytes, engine->weight_bytes());
  }
}

TEST(NestedStatic, RunsTheFirstExpertsOnly) {
  const auto engine = load(model_of(kKinds[1]));
  Request r;
  r.tokens = test_support::random_tokens(30, 4);
  r.max_new_tokens = 3;
  r.budget.k = 7;
  const auto c = test_support::run_one(*engine, r);
  for (int32_t layer = 0; layer < 2; ++layer) {
    for (int32_t e = 0; e < 16; ++e) EXPECT_EQ(c.trace.tokens_on(layer, e) > 0, e < 7);
  }
}

INSTANTIATE_TEST_SUITE_P(Routers, Nested, testing::ValuesIn(kKinds),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
