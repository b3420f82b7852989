#include "harness/engine_subject.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "engine/policy/policy_spec.h"
#include "harness/budget_groups.h"
#include "tests/harness/byte_tokenizer.h"
#include "tests/support/engine_runs.h"

namespace {

using namespace harness;
using tasks::Query;
using test_support::ByteTokenizer;
using test_support::TinyCheckpoint;

PromptTokens prompt_of(const std::string& text) {
  PromptTokens p;
  p.prompt = ByteTokenizer().encode(text, false, false);
  return p;
}

using Texts = std::vector<std::string>;

size_t shared(const std::vector<PromptTokens>& prompts) {
  std::vector<const PromptTokens*> pointers;
  for (const auto& p : prompts) pointers.push_back(&p);
  return shared_prefix(pointers);
}

size_t shared(const std::vector<std::string>& texts) {
  std::vector<PromptTokens> prompts;
  for (const auto& t : texts) prompts.push_back(prompt_of(t));
  return shared(prompts);
}

TEST(SharedPrefix, IsTheLongestThatAllBeginWith) {
  const std::string head(40, 'h');
  EXPECT_EQ(shared(Texts{head + "abc", head + "abd", head + "xyz"}), 40u);
  EXPECT_EQ(shared(Texts{head + "abc", head + "abd"}), 42u);
}

TEST(SharedPrefix, LeavesATokenOutsideForTheLastRow) {
  const std::string head(40, 'h');
  EXPECT_EQ(shared(Texts{head, head}), 39u);
  EXPECT_EQ(shared(Texts{head + "a", head}), 39u);
  EXPECT_EQ(shared(Texts{head, head + "a"}), 39u);
}

TEST(SharedPrefix, IsNoneWhereSharingIsNotWorthIt) {
  EXPECT_EQ(shared(Texts{std::string(40, 'h')}), 0u);
  EXPECT_EQ(shared(std::vector<std::string>{}), 0u);
  EXPECT_EQ(shared(Texts{std::string(31, 'h') + "a", std::string(31, 'h') + "b"}), 0u);
  EXPECT_EQ(shared(Texts{std::string(32, 'h') + "a", std::string(32, 'h') + "b"}), 32u);
}

TEST(SharedPrefix, DoesNotCountPromptsThatWillNotRun) {
  const std::string head(40, 'h');
  std::vector<PromptTokens> prompts = {prompt_of("other"), prompt_of(head + "a"),
                                       prompt_of(head + "b"), PromptTokens{}};
  prompts[0].too_long = true;
  EXPECT_EQ(shared(prompts), 40u);
  prompts[2].too_long = true;
  EXPECT_EQ(shared(prompts), 0u);
}

// Choices, generations, a sampled generation and one prompt that does not fit, behind one header
// of 80 tokens. The first two choices share ten tokens more.
std::vector<Query> mixed_queries() {
  std::vector<Query> out;
  const std::string items[] = {
      "0123456789 one:", "0123456789 and two:", "third:", "4:", "five", "six", "seven"};
  for (size_t i = 0; i < std::size(items); ++i) {
    Query q;
    q.header = "A header that all of the queries begin with, long enough to be worth sharing...\n";
    q.item = items[i];
    if (i < 4) {
      q.options = {" A", " B", " C and more", " D"};
    } else {
      q.kind = Query::Kind::generate;
      q.max_new_tokens = 12;
      if (i == 4) q.reference = "the reference";
      if (i == 5) q.stops = {"e", "a", "!"};
      if (i == 6) q.temperature = 1.0;
    }
    out.push_back(q);
  }
  Query long_one = out[0];
  long_one.item = std::string(300, 'x');
  out.push_back(long_one);
  return out;
}

struct Outcome {
  std::map<size_t, Observation> observations;
  std::vector<PrefixRecord> prefixes;
};

class EngineSubjectTest : public testing::Test {
 protected:
  Outcome answer(bool reuse, const std::set<size_t>& on_record = {},
                 Scenario scenario = Scenario::offline, bool stopped = false) {
    std::vector<Ask> asks;
    for (size_t i = 0; i < queries_.size(); ++i)
      asks.push_back({&queries_[i], 1000 + i, !on_record.contains(i), nullptr, ""});
    Outcome out;
    const std::atomic<bool> stop{stopped};
    EngineSubject subject(*engine_, tokenizer_, reuse);
    subject.answer(
        asks, scenario,
        [&](size_t i, Observation o) {
          EXPECT_TRUE(out.observations.emplace(i, std::move(o)).second) << i << " came twice";
        },
        [&](const PrefixRecord& p) { out.prefixes.push_back(p); }, stop);
    return out;
  }

  // Bitwise: scores, text, and what the query would cost alone.
  static void expect_same(const Observation& a, const Observation& b, size_t i) {
    EXPECT_EQ(a.answer.status, b.answer.status) << i;
    ASSERT_EQ(a.answer.options.size(), b.answer.options.size()) << i;
    for (size_t k = 0; k < a.answer.options.size(); ++k) {
      EXPECT_EQ(a.answer.options[k].logprob, b.answer.options[k].logprob) << i;
      EXPECT_EQ(a.answer.options[k].n_tokens, b.answer.options[k].n_tokens) << i;
    }
    EXPECT_EQ(a.answer.text, b.answer.text) << i;
    EXPECT_EQ(a.answer.reference_logprob, b.answer.reference_logprob) << i;
    EXPECT_EQ(a.finish, b.finish) << i;
    EXPECT_EQ(a.ledger.useful_flops(), b.ledger.useful_flops()) << i;
  }

  const TinyCheckpoint checkpoint_;
  const std::unique_ptr<engine::Engine> engine_ = test_support::load(checkpoint_, 64, 3);
  const ByteTokenizer tokenizer_{};
  const std::vector<Query> queries_ = mixed_queries();
};

TEST_F(EngineSubjectTest, AnswersAreTheSameWithAndWithoutPrefixReuse) {
  const auto with = answer(true), without = answer(false);
  ASSERT_EQ(with.observations.size(), queries_.size());
  ASSERT_EQ(without.observations.size(), queries_.size());
  ASSERT_EQ(with.prefixes.size(), 1u);
  EXPECT_EQ(with.prefixes[0].tokens, 80);
  EXPECT_TRUE(without.prefixes.empty());
  uint64_t executed = with.prefixes[0].ledger.executed_flops(), executed_whole = 0;
  for (size_t i = 0; i < queries_.size(); ++i) {
    const auto& a = with.observations.at(i);
    const auto& b = without.observations.at(i);
    expect_same(a, b, i);
    executed += a.ledger.executed_flops();
    executed_whole += b.ledger.executed_flops();
    EXPECT_EQ(b.prefix_tokens, 0);
    EXPECT_EQ(a.prefix_tokens, i < 7 ? 80 : 0);
  }
  EXPECT_LT(executed, executed_whole);
  // The queries are not all alike: equal answers mean something.
  EXPECT_NE(with.observations.at(0).answer.options[0].logprob,
            with.observations.at(1).answer.options[0].logprob);
  EXPECT_FALSE(with.observations.at(4).answer.text.empty());
  EXPECT_TRUE(with.observations.at(4).answer.reference_logprob.has_value());
}

TEST_F(EngineSubjectTest, EverythingThatTheEngineLaunchedIsOnAnAccount) {
  const uint64_t before = engine_->launched().executed_flops();
  const auto out = answer(true);
  uint64_t booked = out.prefixes[0].ledger.executed_flops();
  for (const auto& [i, o] : out.observations) booked += o.ledger.executed_flops();
  EXPECT_EQ(booked, engine_->launched().executed_flops() - before);
}

TEST_F(EngineSubjectTest, WhatIsOnRecordShapesThePrefixAndIsNotAskedAgain) {
  const auto whole = answer(true);
  // The two that are left share ten tokens more than the group does.
  const auto rest = answer(true, {2, 3, 4, 5, 6, 7});
  EXPECT_EQ(rest.observations.size(), 2u);
  ASSERT_EQ(rest.prefixes.size(), 1u);
  EXPECT_EQ(rest.prefixes[0].key, whole.prefixes[0].key);
  EXPECT_EQ(rest.prefixes[0].tokens, 80);
  for (const auto& [i, o] : rest.observations) {
    expect_same(o, whole.observations.at(i), i);
    EXPECT_EQ(o.ledger, whole.observations.at(i).ledger);
  }
  const auto nothing = answer(true, {0, 1, 2, 3, 4, 5, 6, 7});
  EXPECT_TRUE(nothing.observations.empty());
  EXPECT_TRUE(nothing.prefixes.empty());
}

TEST_F(EngineSubjectTest, OneAtATimeAnswersAsAllAtOnce) {
  const auto all = answer(true), single = answer(true, {}, Scenario::single);
  ASSERT_EQ(single.observations.size(), queries_.size());
  int64_t last = 0;
  for (size_t i = 0; i < queries_.size(); ++i) {
    expect_same(single.observations.at(i), all.observations.at(i), i);
    // Each is scheduled after the one before it was whole.
    EXPECT_GE(single.observations.at(i).scheduled_ns, last);
    last = std::max(last, single.observations.at(i).timing.last_ns);
  }
}

TEST_F(EngineSubjectTest, APromptThatDoesNotFitIsAnAnswerAndNotAnError) {
  const auto out = answer(true);
  const auto& o = out.observations.at(7);
  EXPECT_EQ(o.answer.status, tasks::Answer::Status::too_long);
  EXPECT_EQ(o.detail, "prompt has 380 tokens, room for 246");
  EXPECT_EQ(o.ledger.executed_flops(), 0u);
}

TEST_F(EngineSubjectTest, StopsAtAStopStringAndCutsIt) {
  const auto out = answer(true);
  const auto& o = out.observations.at(5);
  for (const char* stop : {"e", "a", "!"})
    EXPECT_EQ(o.answer.text.find(stop), std::string::npos) << o.answer.text;
  EXPECT_EQ(o.answer.hit_length_limit, o.finish == engine::FinishReason::length);
}

TEST_F(EngineSubjectTest, AStopEndsTheGroupWithoutAnswers) {
  for (const Scenario s : {Scenario::offline, Scenario::single})
    for (const auto& [i, o] : answer(true, {}, s, true).observations)
      EXPECT_TRUE(o.answer.status == tasks::Answer::Status::cancelled ||
                  o.answer.status == tasks::Answer::Status::too_long)
          << i;
}

// Asks of a mixture of experts, each under the policy that `policy_of` names.
class MixedBudgetTest : public testing::Test {
 protected:
  std::shared_ptr<const engine::ExpertPolicy> policy(const std::string& text) const {
    engine::PolicyContext c;
    c.moe = checkpoint_.config().moe;
    c.n_layers = checkpoint_.config().n_layers;
    return engine::make_policy(engine::parse_policy(text), c);
  }
  Outcome answer(const std::vector<std::string>& policies, bool reuse = true) {
    std::vector<std::shared_ptr<const engine::ExpertPolicy>> made;
    std::vector<Ask> asks;
    for (size_t i = 0; i < queries_.size(); ++i) {
      made.push_back(policy(policies[i % policies.size()]));
      asks.push_back({&queries_[i], 1000 + i, true, made.back().get(), ""});
    }
    Outcome out;
    const std::atomic<bool> stop{false};
    EngineSubject(*engine_, tokenizer_, reuse)
        .answer(
            asks, Scenario::offline,
            [&](size_t i, Observation o) { out.observations.emplace(i, std::move(o)); },
            [&](const PrefixRecord& p) { out.prefixes.push_back(p); }, stop);
    return out;
  }
  const TinyCheckpoint checkpoint_{test_support::tiny_moe_config()};
  const std::unique_ptr<engine::Engine> engine_ = test_support::load(checkpoint_, 64, 3);
  const ByteTokenizer tokenizer_{};
  const std::vector<Query> queries_ = mixed_queries();
};

TEST_F(MixedBudgetTest, APrefixIsSharedByTheAsksOfItsBudgetOnly) {
  // Seven queries run; k = 2 and 5 have two or more users, k = 9 has one.
  const auto out = answer(
      {"fixed:2", "fixed:5", "fixed:2", "fixed:5", "fixed:2", "fixed:5", "fixed:9", "fixed:2"});
  ASSERT_EQ(out.observations.size(), queries_.size());
  ASSERT_EQ(out.prefixes.size(), 2u);
  EXPECT_EQ(out.prefixes[0].budget, "k=2");
  EXPECT_EQ(out.prefixes[1].budget, "k=5");
  EXPECT_NE(out.prefixes[0].key, out.prefixes[1].key);
  EXPECT_EQ(out.observations.at(0).prefix_key, out.prefixes[0].key);
  EXPECT_EQ(out.observations.at(1).prefix_key, out.prefixes[1].key);
  EXPECT_EQ(out.observations.at(6).prefix_key, "");
  EXPECT_EQ(out.observations.at(6).trace.k_max(), 9);
}

TEST_F(MixedBudgetTest, AnswersDoNotDependOnTheBudgetsBeside) {
  const std::vector<std::string> policies = {"fixed:2",     "top_p:0.4", "fixed:2", "layers:3,7",
                                             "entropy:1,6", "top_p:0.4", "fixed:12"};
  const auto mixed = answer(policies), whole = answer(policies, false);
  for (size_t p = 0; p < policies.size(); ++p) {
    const auto alone = answer({policies[p]});
    for (const auto* other : {&mixed, &whole}) {
      const auto& a = other->observations.at(p);
      const auto& b = alone.observations.at(p);
      ASSERT_EQ(a.answer.options.size(), b.answer.options.size());
      for (size_t k = 0; k < a.answer.options.size(); ++k)
        EXPECT_EQ(a.answer.options[k].logprob, b.answer.options[k].logprob) << policies[p];
      EXPECT_EQ(a.answer.text, b.answer.text) << policies[p];
      EXPECT_EQ(a.trace, b.trace) << policies[p];
      for (const auto part : {engine::Part::router, engine::Part::experts, engine::Part::attention})
        EXPECT_EQ(a.ledger.useful_flops(part), b.ledger.useful_flops(part)) << policies[p];
    }
  }
}

TEST_F(MixedBudgetTest, EverythingThatTheEngineLaunchedIsOnAnAccount) {
  const auto before = engine_->launched();
  const auto out = answer({"fixed:2", "fixed:5", "top_p:0.4", "fixed:5", "fixed:2"});
  for (int p = 0; p < engine::kParts; ++p) {
    const auto part = static_cast<engine::Part>(p);
    uint64_t booked = before.executed_flops(part);
    for (const auto& record : out.prefixes) booked += record.ledger.executed_flops(part);
    for (const auto& [i, o] : out.observations) booked += o.ledger.executed_flops(part);
    EXPECT_EQ(booked, engine_->launched().executed_flops(part)) << engine::part_name(part);
  }
  EXPECT_GE(out.prefixes.size(), 2u);
}

// Decides by the question's bytes, and says what it saw.
class Seeing : public engine::ExpertPolicy {
 public:
  std::string_view kind() const override { return "seeing"; }
  std::string label() const override { return "seeing"; }
  std::string config_json() const override { return "{}"; }
  engine::Decision decide(const engine::QueryFeatures& q) const override {
    seen.insert(std::string(q.key) + "|" + std::string(q.question) + "|" +
                std::to_string(q.question_tokens.size()) + "|" + std::to_string(q.prompt_tokens) +
                "|" + std::to_string(q.max_new_tokens));
    engine::Decision d;
    d.budget.k = 3;
    d.own_cost.flops = 1000;
    d.complexity = 2.5;
    return d;
  }
  mutable std::set<std::string> seen;
};

TEST_F(MixedBudgetTest, APolicySeesTheQuestionAloneAndIsChargedToTheQuery) {
  Query q = queries_[0];
  q.item = "Question: why?\nAnswer:";
  q.question = {10, 14};
  const Seeing policy;
  for (const Scenario scenario : {Scenario::offline, Scenario::single}) {
    const std::vector<Ask> asks = {{&q, 1, true, &policy, "task:sample@wording/1"}};
    const std::atomic<bool> stop{false};
    std::vector<Observation> seen;
    EngineSubject(*engine_, tokenizer_)
        .answer(
            asks, scenario, [&](size_t, Observation o) { seen.push_back(std::move(o)); },
            [](const PrefixRecord&) {}, stop);
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].ledger.useful_flops(engine::Part::predictor), 1000u);
    EXPECT_EQ(seen[0].ledger.executed_flops(engine::Part::predictor), 1000u);
    EXPECT_EQ(seen[0].decision.complexity, 2.5);
    EXPECT_EQ(seen[0].trace.k_max(), 3);
    EXPECT_GT(seen[0].timing.predicted_ns, 0);
    if (scenario == Scenario::single) {
      EXPECT_GE(seen[0].timing.predicted_ns, seen[0].scheduled_ns);
      EXPECT_GE(seen[0].timing.admitted_ns, seen[0].timing.predicted_ns);
    }
  }
  const std::string prompt_tokens = std::to_string(q.header.size() + q.item.size());
  EXPECT_EQ(policy.seen,
            (std::set<std::string>{"task:sample@wording/1|why?|4|" + prompt_tokens + "|0"}));
}

}  // namespace
