// Work counted at the ops, in integers: a decode step reads each weight that it needs once, however
// many streams share it, and nothing is computed that no query needs.
#include <gtest/gtest.h>

#include "engine/prefix.h"
#include "tests/support/engine_runs.h"

namespace {

using engine::Completion;
using engine::ComputeLedger;
using engine::Request;
using test_support::load;
using test_support::random_tokens;
using test_support::run_all;
using test_support::TinyCheckpoint;

constexpr int32_t kExperts = 12;

// Launched by the last ten of fifteen tokens that every stream writes after one prompt.
ComputeLedger ten_steps(int32_t k, uint64_t streams) {
  const TinyCheckpoint model(test_support::tiny_moe_config(kExperts));
  uint64_t bytes[2];
  ComputeLedger ledgers[2];
  for (const int more : {0, 1}) {
    const auto engine = load(model, 512, 16, 2);
    std::vector<Request> requests(streams);
    for (uint64_t i = 0; i < streams; ++i) {
      requests[i].id = i + 1;
      requests[i].tokens = random_tokens(9, 4);
      requests[i].budget.k = k;
      requests[i].max_new_tokens = 5 + 10 * more;
    }
    EXPECT_EQ(run_all(*engine, requests).size(), streams);
    ledgers[more] = engine->launched();
    bytes[more] = ledgers[more].executed_weight_bytes();
  }
  ComputeLedger difference;
  difference.add_executed(
      engine::Part::experts,
      {ledgers[1].executed_flops() - ledgers[0].executed_flops(), bytes[1] - bytes[0]});
  return difference;
}

// Bytes of the matrices that one token needs, fp32.
uint64_t token_bytes(int32_t k) {
  const auto c = test_support::tiny_moe_config(kExperts);
  const auto d = static_cast<uint64_t>(c.d_model);
  const auto d_q = static_cast<uint64_t>(c.n_heads * c.d_head);
  const auto d_kv = static_cast<uint64_t>(c.n_kv_heads * c.d_head);
  const auto width = static_cast<uint64_t>(c.moe.d_expert);
  const uint64_t layer =
      (d_q + 2 * d_kv) * d + d * d_q + kExperts * d + static_cast<uint64_t>(k) * 3 * d * width;
  return 4 * (static_cast<uint64_t>(c.n_layers) * layer + static_cast<uint64_t>(c.vocab) * d);
}

TEST(CountedWork, ATokenReadsTheWeightsThatItNeedsOnce) {
  for (const int32_t k : {1, 2, 5, 12}) {
    EXPECT_EQ(ten_steps(k, 1).executed_weight_bytes(), 10 * token_bytes(k)) << k;
  }
}

TEST(CountedWork, StreamsOfOnePromptReadEveryTouchedExpertOnceBetweenThem) {
  for (const int32_t k : {1, 3, 12}) {
    const auto one = ten_steps(k, 1), six = ten_steps(k, 6);
    EXPECT_EQ(six.executed_weight_bytes(), one.executed_weight_bytes()) << k;
    EXPECT_EQ(six.executed_flops(), 6 * one.executed_flops()) << k;
  }
}

TEST(CountedWork, WithoutAPrefixAllThatIsExecutedIsUseful) {
  const TinyCheckpoint model(test_support::tiny_moe_config(kExperts));
  for (const int64_t rows : {5, 512}) {
    const auto engine = load(model, rows, 4, 2);
    std::vector<Request> requests(9);
    for (uint64_t i = 0; i < requests.size(); ++i) {
      requests[i].id = i + 1;
      requests[i].tokens = random_tokens(3 + 4 * i, i);
      if (i % 2 == 0) {
        requests[i].max_new_tokens = 4;
      } else {
        requests[i].continuations = {random_tokens(2, 50 + i), random_tokens(5, 60 + i)};
      }
    }
    requests = test_support::with_mixed_budgets(requests, kExperts, engine->config().n_layers);
    for (const auto& [id, c] : run_all(*engine, requests)) {
      EXPECT_EQ(c.ledger.executed_flops(), c.ledger.useful_flops()) << rows << " request " << id;
      EXPECT_GT(c.ledger.useful_flops(), 0u);
    }
  }
}

TEST(CountedWork, ASharedPrefixIsExecutedOnceAndUsefulToEachUser) {
  const TinyCheckpoint model(test_support::tiny_moe_config(kExperts));
  const auto engine = load(model, 512, 8, 2);
  const auto prompt = random_tokens(40, 1);
  engine::ExpertBudget budget;
  budget.k = 4;
  ComputeLedger made;
  const auto prefix = engine->make_prefix(prompt, budget, &made);
  std::vector<Request> requests(7);
  for (uint64_t i = 0; i < requests.size(); ++i) {
    requests[i].id = i + 1;
    requests[i].tokens = prompt;
    requests[i].tokens.push_back(static_cast<engine::TokenId>(i));
    requests[i].prefix = prefix;
    requests[i].budget = budget;
    requests[i].want_logits = true;
  }
  uint64_t executed = made.executed_flops(), useful = 0;
  for (const auto& [id, c] : run_all(*engine, requests)) {
    executed += c.ledger.executed_flops();
    useful += c.ledger.useful_flops();
  }
  EXPECT_EQ(executed, engine->launched().executed_flops());
  EXPECT_EQ(useful - executed, 6 * made.executed_flops());
}

}  // namespace
