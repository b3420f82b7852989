// Invariant 1: what requests and prefixes are booked is what the ops did, exactly, in integers.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/prefix.h"
#include "tests/support/engine_runs.h"

namespace {

using engine::ComputeLedger;
using engine::Part;
using engine::Request;
using test_support::load;
using test_support::mixed_requests;
using test_support::run_all;
using test_support::TinyCheckpoint;

void expect_conserved(const ComputeLedger& booked, const ComputeLedger& launched) {
  for (int i = 0; i < engine::kParts; ++i) {
    const auto part = static_cast<Part>(i);
    EXPECT_EQ(booked.executed_flops(part), launched.executed_flops(part)) << part_name(part);
  }
  EXPECT_GT(launched.executed_flops(), 0u);
}

TEST(Conservation, HoldsForMixedBatchesOfEveryFamilyAndSize) {
  for (const char* family : {"llama", "qwen2", "qwen3"}) {
    const TinyCheckpoint model(test_support::tiny_config(family));
    for (const int64_t rows : {1, 7, 33, 512}) {
      SCOPED_TRACE(std::string(family) + " rows " + std::to_string(rows));
      const auto engine = load(model, rows, 3, 2);
      ComputeLedger booked;
      for (const auto& [id, c] : run_all(*engine, mixed_requests())) booked += c.ledger;
      expect_conserved(booked, engine->launched());
    }
  }
}

TEST(Conservation, HoldsForMixedBudgetsOfEveryMoe) {
  for (const int32_t shared : {0, 1, 2}) {
    TinyCheckpoint model(test_support::tiny_moe_config(12, shared, 4));
    for (const int64_t rows : {1, 7, 33, 512}) {
      SCOPED_TRACE("shared " + std::to_string(shared) + " rows " + std::to_string(rows));
      const auto engine = load(model, rows, 3, 2);
      ComputeLedger booked;
      const auto requests = test_support::with_mixed_budgets(
          mixed_requests(), engine->config().moe.max_k(), engine->config().n_layers);
      for (const auto& [id, c] : run_all(*engine, requests)) {
        booked += c.ledger;
        EXPECT_EQ(c.budget, requests[id - 1].budget);
        EXPECT_GE(c.trace.k_min(), 1);
        EXPECT_LE(c.trace.k_max(), engine->config().moe.max_k());
      }
      expect_conserved(booked, engine->launched());
      EXPECT_GT(engine->launched().executed_flops(Part::router), 0u);
    }
  }
}

TEST(Conservation, BooksAPrefixOfEveryBudgetOnce) {
  const TinyCheckpoint model(test_support::tiny_moe_config(12, 2, 4));
  const auto shared = test_support::random_tokens(80, 5);
  const auto engine = load(model, 64);
  auto requests = test_support::with_mixed_budgets(mixed_requests(), 14, 2);
  for (Request& r : requests) r.tokens.insert(r.tokens.begin(), shared.begin(), shared.end());
  const auto alone = run_all(*load(model, 64), requests);
  ComputeLedger booked;
  for (Request& r : requests) r.prefix = engine->make_prefix(shared, r.budget, &booked);
  for (const auto& [id, c] : run_all(*engine, requests)) {
    booked += c.ledger;
    EXPECT_EQ(c.prefix_tokens, 80);
    EXPECT_EQ(c.trace, alone.at(id).trace);
    for (int i = 0; i < engine::kParts; ++i) {
      const auto part = static_cast<Part>(i);
      EXPECT_EQ(c.ledger.useful_flops(part), alone.at(id).ledger.useful_flops(part));
    }
  }
  expect_conserved(booked, engine->launched());
}

TEST(Conservation, BooksAPrefixOnceAndNotWithItsUsers) {
  const TinyCheckpoint model;
  const auto shared = test_support::random_tokens(80, 5);
  std::vector<Request> requests = mixed_requests();
  for (Request& r : requests) r.tokens.insert(r.tokens.begin(), shared.begin(), shared.end());

  const auto plain = load(model, 64);
  const auto alone = run_all(*plain, requests);

  const auto engine = load(model, 64);
  ComputeLedger booked;
  const auto prefix = engine->make_prefix(shared, {}, &booked);
  EXPECT_EQ(booked.executed_flops(), engine->launched().executed_flops());
  EXPECT_EQ(booked.useful_flops(), 0u);
  EXPECT_EQ(booked.executed_flops(), engine->cost_of(80, 0, {}).executed_flops());
  const uint64_t prefix_flops = booked.executed_flops();
  for (Request& r : requests) r.prefix = prefix;
  for (const auto& [id, c] : run_all(*engine, requests)) {
    booked += c.ledger;
    EXPECT_EQ(c.outcome, engine::Outcome::ok);
    // Useful: as if run alone with its whole prompt.
    for (int i = 0; i < engine::kParts; ++i) {
      const auto part = static_cast<Part>(i);
      EXPECT_EQ(c.ledger.useful_flops(part), alone.at(id).ledger.useful_flops(part));
    }
    // A score beside a generated answer is executed, but no part of what the query costs.
    const auto& whole = alone.at(id).ledger;
    const auto& request = *std::find_if(requests.begin(), requests.end(),
                                        [id = id](const Request& r) { return r.id == id; });
    if (request.max_new_tokens > 0 && !request.continuations.empty()) {
      EXPECT_GE(whole.executed_flops(), whole.useful_flops());
    } else {
      EXPECT_EQ(whole.executed_flops(), whole.useful_flops());
    }
    EXPECT_EQ(c.ledger.executed_flops() + prefix_flops, whole.executed_flops());
  }
  expect_conserved(booked, engine->launched());
}

TEST(Conservation, HoldsWhenRequestsAreStoppedMidway) {
  const TinyCheckpoint model;
  const auto engine = load(model, 16, 2);
  std::atomic<bool> stop{false};
  ComputeLedger booked;
  int pulled = 0, completed = 0;
  engine->run(
      [&]() -> std::optional<Request> {
        Request r;
        r.id = static_cast<uint64_t>(++pulled);
        r.tokens = test_support::random_tokens(10, r.id);
        r.max_new_tokens = 20;
        r.on_token = [&](auto tokens) {
          if (tokens.size() == 5) stop = true;
          return true;
        };
        return r;
      },
      [&](engine::Completion c) {
        ++completed;
        EXPECT_EQ(c.outcome, engine::Outcome::cancelled);
        booked += c.ledger;
      },
      stop);
  EXPECT_EQ(completed, pulled);
  EXPECT_GE(pulled, 2);
  expect_conserved(booked, engine->launched());
}

TEST(Costs, AreTheHandCountOfASmallModel) {
  const TinyCheckpoint
      model;  // 2 layers, d_model 64, 4 heads and 2 KV heads of 16, 96 wide, 97 ids
  const auto engine = load(model);
  Request r;
  r.tokens = {5, 6, 7};
  r.continuations = {{1}, {2, 3}};
  const auto c = test_support::run_one(*engine, r);
  // Rows at positions 0..2 and one continuation row at position 3; two rows of logits.
  const uint64_t projections = 2 * (64 * 64 + 2 * 64 * 32 + 64 * 64);
  const uint64_t visible = 4 * 4 * 16 * (1 + 2 + 3 + 4);
  EXPECT_EQ(c.ledger.executed_flops(Part::attention), 2 * (4 * projections + visible));
  EXPECT_EQ(c.ledger.executed_flops(Part::experts), 2u * 4 * 3 * 2 * 64 * 96);
  EXPECT_EQ(c.ledger.executed_flops(Part::head), 2u * 2 * 64 * 97);
  EXPECT_EQ(c.ledger.executed_flops(Part::router), 0u);

  const auto cost = engine->cost_of(4, 2, {});
  EXPECT_EQ(cost.useful_flops(), c.ledger.useful_flops());
}

TEST(Costs, OfAFixedBudgetAreTheHandCountOfItsExperts) {
  // 12 routed experts of width 32 and 2 shared ones of width 64 behind a gate, d_model 64, 2
  // layers.
  const TinyCheckpoint model(test_support::tiny_moe_config(12, 2, 4));
  const auto engine = load(model);
  for (int32_t k = 1; k <= 14; ++k) {
    Request r;
    r.tokens = test_support::random_tokens(9, 4);
    r.want_logits = true;
    r.budget.k = k;
    const auto c = test_support::run_one(*engine, r);
    const uint64_t shared = static_cast<uint64_t>(std::min(k, 2)), routed = k - shared;
    EXPECT_EQ(c.ledger.useful_flops(Part::experts),
              2u * 9 * 3 * 2 * 64 * (shared * 64 + routed * 32));
    EXPECT_EQ(c.ledger.useful_flops(Part::router), 2u * 9 * 2 * 64 * (2 + (routed > 0 ? 12 : 0)));
    EXPECT_EQ(c.trace.k_min(), k);
    EXPECT_EQ(c.trace.k_max(), k);
    EXPECT_DOUBLE_EQ(c.trace.k_mean(), k);
    EXPECT_EQ(c.batch_k_max, k);
    EXPECT_EQ(engine->cost_of(9, 1, r.budget).useful_flops(), c.ledger.useful_flops());
  }
}

TEST(Parameters, CountEveryElementOfTheCheckpoint) {
  for (const char* family : {"llama", "qwen2", "qwen3"}) {
    const TinyCheckpoint model(test_support::tiny_config(family));
    int64_t elements = 0;
    for (const auto& t : model.tensors()) {
      int64_t n = 1;
      for (const int64_t extent : t.shape) n *= extent;
      elements += n;
    }
    const auto p = load(model)->parameters();
    EXPECT_EQ(p.total, elements) << family;
    EXPECT_EQ(p.per_expert, 2 * 3 * 64 * 96);
    EXPECT_EQ(p.dense + p.per_expert, p.total);
  }
}

}  // namespace
