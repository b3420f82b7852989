#include "harness/row_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

namespace {

using namespace harness;
using engine::Part;

constexpr int64_t kMs = 1'000'000;

tasks::Query five_part_query() {
  tasks::Query q;
  q.header = "H";
  q.demonstrations = {"1", "2", "3"};
  q.item = "Q";
  q.options = {" A", " B"};
  return q;
}

Observation answered() {
  Observation o;
  o.answer.options = {{-1.5, 1}, {-2.5, 2}};
  o.prompt_tokens = 100;
  o.prefix_tokens = 60;
  o.prefix_key = "key";
  o.scheduled_ns = 1000 * kMs;
  o.timing.admitted_ns = 1003 * kMs;
  o.timing.first_ns = 1010 * kMs;
  o.timing.last_ns = 1030 * kMs;
  o.timing.prefill_ns = 5 * kMs;
  o.timing.decode_ns = 19 * kMs;
  o.timing.longest_gap_ns = 2 * kMs;
  o.timing.mean_batch_rows = 7.5;
  uint64_t flops = 1;
  for (const Part p : {Part::attention, Part::router, Part::experts, Part::head, Part::predictor}) {
    o.ledger.add_useful(p, {.flops = flops});
    o.ledger.add_executed(p, {.flops = 100 * flops});
    flops *= 2;
  }
  return o;
}

AttemptContext context() {
  AttemptContext c;
  c.ordinal = 17;
  c.seed = 99;
  c.session_start_ns = 400 * kMs;
  return c;
}

tasks::Score right() {
  tasks::Score s;
  s.verdict = tasks::Verdict::passed;
  s.value = 1;
  s.gold_nll = 1.5;
  s.margin = 1.0;
  s.extracted = "A";
  return s;
}

const tasks::Task& choice_task() {
  static const auto kTask = tasks::make_task("mmlu");
  return *kTask;
}

results::AttemptBundle bundle(const tasks::Query& q, const Observation& o, const tasks::Score& s) {
  return make_bundle(context(), q, o, choice_task(), s, 42);
}

TEST(RowWriter, WritesAScoredChoice) {
  const auto b = bundle(five_part_query(), answered(), right());
  const auto& a = b.attempt;
  EXPECT_EQ(b.query.prefix_text, "H123");
  EXPECT_EQ(b.query.prompt_text, "Q");
  EXPECT_EQ(a.ordinal, 17);
  EXPECT_EQ(a.seed, 99);
  EXPECT_EQ(a.status, "ok");
  EXPECT_EQ(a.status_detail, std::nullopt);
  EXPECT_EQ(a.prompt_tokens, 100);
  EXPECT_EQ(a.prefix_tokens, 60);
  EXPECT_EQ(a.prefix_sha256, "key");
  EXPECT_EQ(a.k_requested, 1);
  EXPECT_EQ(a.useful, (results::FlopsByPart{1, 2, 4, 8, 16}));
  EXPECT_EQ(a.executed, (results::FlopsByPart{100, 200, 400, 800, 1600}));
  ASSERT_EQ(b.options.size(), 2u);
  EXPECT_EQ(b.options[1].logprob_nats, -2.5);
  EXPECT_EQ(b.options[1].n_tokens, 2);
  EXPECT_EQ(b.output_text, std::nullopt);
  ASSERT_EQ(b.verdicts.size(), 1u);
  EXPECT_EQ(b.verdicts[0].outcome, "passed");
  EXPECT_EQ(b.verdicts[0].correct, 1);
  EXPECT_EQ(b.verdicts[0].answer, "A");
  EXPECT_EQ(b.verdicts[0].gold_nll_nats, 1.5);
  EXPECT_EQ(b.verdicts[0].margin_nats, 1.0);
  EXPECT_EQ(b.verdicts[0].score_us, 42);
  EXPECT_EQ(b.verdicts[0].scorer, choice_task().scorer());
}

TEST(RowWriter, MeasuresTimesFromTheSchedule) {
  const auto a = bundle(five_part_query(), answered(), right()).attempt;
  EXPECT_EQ(a.scheduled_ns, 600 * kMs);
  EXPECT_EQ(a.queue_us, 3000);
  EXPECT_EQ(a.ttft_us, 10'000);
  EXPECT_EQ(a.latency_us, 30'000);
  EXPECT_EQ(a.service_us, 27'000);
  EXPECT_EQ(a.prefill_us, 5000);
  EXPECT_EQ(a.batch_size, 7.5);
  // A choice decodes nothing: not measured is empty, not 0.
  EXPECT_EQ(a.decode_us, std::nullopt);
  EXPECT_EQ(a.itl_max_us, std::nullopt);
  EXPECT_EQ(a.predict_us, std::nullopt);
  EXPECT_EQ(a.energy_uj, std::nullopt);
}

TEST(RowWriter, WritesAGeneration) {
  auto q = five_part_query();
  q.kind = tasks::Query::Kind::generate;
  q.max_new_tokens = 16;
  auto o = answered();
  o.answer.options.clear();
  o.answer.text = "  return 1\n";
  o.answer.reference_logprob = -12.5;
  o.answer.reference_tokens = 9;
  o.finish = engine::FinishReason::stopped;
  o.output_tokens = 5;
  auto b = bundle(q, o, right());
  EXPECT_EQ(b.output_text, "  return 1\n");
  EXPECT_EQ(b.attempt.finish_reason, "stop_string");
  EXPECT_EQ(b.attempt.output_tokens, 5);
  EXPECT_EQ(b.attempt.decode_us, 19'000);
  EXPECT_EQ(b.attempt.itl_max_us, 2000);
  EXPECT_EQ(b.attempt.reference_logprob_nats, -12.5);
  EXPECT_EQ(b.attempt.reference_tokens, 9);
  o.output_tokens = 1;  // one token has no gap
  o.answer.reference_logprob.reset();
  b = bundle(q, o, right());
  EXPECT_EQ(b.attempt.itl_max_us, std::nullopt);
  EXPECT_EQ(b.attempt.reference_logprob_nats, std::nullopt);
  EXPECT_EQ(b.attempt.reference_tokens, std::nullopt);
}

TEST(RowWriter, LeavesOutTheDemonstrationsThatWereDropped) {
  auto o = answered();
  o.dropped_demonstrations = 2;
  EXPECT_EQ(bundle(five_part_query(), o, right()).query.prefix_text, "H1");
}

TEST(RowWriter, StoresAChatAsItWasSent) {
  auto q = five_part_query();
  q.is_chat = true;
  auto o = answered();
  o.rendered_prompt = "<|im_start|>user";
  const auto b = bundle(q, o, right());
  EXPECT_EQ(b.query.prompt_text, "<|im_start|>user");
  EXPECT_EQ(b.query.prefix_text, "");
}

TEST(RowWriter, AQueryThatWasNotRunHasNoMeasurements) {
  auto o = answered();
  o.answer = {};
  o.answer.status = tasks::Answer::Status::too_long;
  o.detail = "prompt has 99 tokens, room for 98";
  tasks::Score s;
  s.verdict = tasks::Verdict::too_long;
  const auto b = bundle(five_part_query(), o, s);
  EXPECT_EQ(b.attempt.status, "too_long");
  EXPECT_EQ(b.attempt.status_detail, "prompt has 99 tokens, room for 98");
  EXPECT_EQ(b.attempt.useful, std::nullopt);
  EXPECT_EQ(b.attempt.k_requested, std::nullopt);
  EXPECT_EQ(b.attempt.latency_us, std::nullopt);
  EXPECT_EQ(b.attempt.prefix_sha256, std::nullopt);
  EXPECT_EQ(b.verdicts[0].correct, 0);  // a row, and wrong
  EXPECT_EQ(b.verdicts[0].outcome, "too_long");
}

// Two layers of three experts; two tokens, of which the second ran less in the second layer.
engine::RoutingTrace small_trace() {
  engine::ModelConfig c;
  c.n_layers = 2;
  c.moe.n_experts = 3;
  engine::StepRouting step(c, 2);
  step.begin(2);
  for (int32_t l = 0; l < 2; ++l) {
    std::fill(step.ids(l), step.ids(l) + 2 * engine::kMaxBudget, int16_t{-1});
    step.ids(l)[0] = 0;
    step.ids(l)[1] = 2;
    step.ids(l)[engine::kMaxBudget] = 1;
    step.margins(l)[0] = 0.25f;
    step.margins(l)[1] = std::numeric_limits<float>::quiet_NaN();
  }
  step.ids(0)[engine::kMaxBudget + 1] = 2;
  step.margins(0)[1] = 0.5f;
  engine::RoutingTrace trace(2, 3);
  trace.add(step, 0, 2);
  return trace;
}

TEST(RowWriter, WritesWhichExpertsRan) {
  auto o = answered();
  o.trace = small_trace();
  o.batch_experts = 2.5;
  o.batch_k_max = 3;
  o.weight_bytes = 1234;
  auto c = context();
  auto b = make_bundle(c, five_part_query(), o, choice_task(), right(), 1);
  EXPECT_EQ(b.attempt.k_mean, 7 / 4.0);
  EXPECT_EQ(b.attempt.k_min, 1);
  EXPECT_EQ(b.attempt.k_max, 2);
  EXPECT_EQ(b.attempt.batch_experts, 2.5);
  EXPECT_EQ(b.attempt.batch_k_max, 3);
  EXPECT_EQ(b.attempt.weights_bytes, 1234);
  ASSERT_EQ(b.layers.size(), 2u);
  EXPECT_EQ(b.layers[1].layer, 1);
  EXPECT_EQ(b.layers[1].tokens, 2);
  EXPECT_EQ(b.layers[1].k_sum, 3);
  EXPECT_EQ(b.layers[1].k_min, 1);
  EXPECT_EQ(b.layers[1].k_max, 2);
  EXPECT_EQ(b.layers[0].margin_mean, std::nullopt) << "margins were not asked for";
  ASSERT_TRUE(b.experts.has_value());
  EXPECT_EQ(b.experts->n_layers, 2);
  EXPECT_EQ(b.experts->n_experts, 3);
  EXPECT_EQ(b.experts->tokens, (std::vector<uint32_t>{1, 1, 2, 1, 1, 1}));
  c.router_margins = true;
  b = make_bundle(c, five_part_query(), o, choice_task(), right(), 1);
  EXPECT_EQ(b.layers[0].margin_mean, 0.375);
  EXPECT_EQ(b.layers[0].margin_min, 0.25);
  EXPECT_EQ(b.layers[1].margin_mean, 0.25);
}

TEST(RowWriter, WritesWhatThePolicyDecided) {
  auto o = answered();
  auto& d = o.decision;
  d.budget.k = 4;
  d.budget.selector = engine::Selector::top_p;
  d.budget.value = 0.5f;
  auto a = bundle(five_part_query(), o, right()).attempt;
  EXPECT_EQ(a.k_requested, 4);
  EXPECT_EQ(a.budget, "k=4;top_p=0.5");
  EXPECT_EQ(a.capped, std::nullopt) << "no cap: not measured";
  EXPECT_EQ(a.k_uncapped, std::nullopt);
  EXPECT_EQ(a.complexity, std::nullopt);
  EXPECT_EQ(a.predict_us, std::nullopt);
  d.k_uncapped = 9;
  d.capped = true;
  d.complexity = 5.5;
  d.p_correct_by_k = {{1, 0.25}, {16, 0.5}};
  d.own_cost.flops = 10;
  o.predict_ns = 5000;
  a = bundle(five_part_query(), o, right()).attempt;
  EXPECT_EQ(a.capped, 1);
  EXPECT_EQ(a.k_uncapped, 9);
  EXPECT_EQ(a.complexity, 5.5);
  EXPECT_EQ(a.p_k_json, "[[1,0.25],[16,0.5]]");
  EXPECT_EQ(a.predict_us, 5);
  // A query whose scores were not finite has its decision, and no measurement of experts.
  o.answer = {};
  o.answer.status = tasks::Answer::Status::not_finite;
  a = bundle(five_part_query(), o, right()).attempt;
  EXPECT_EQ(a.status, "not_finite");
  EXPECT_EQ(a.k_requested, 4);
  EXPECT_EQ(a.k_mean, std::nullopt);
}

TEST(RowWriter, WhatWasNotToBeMarkedIsDoneAndUngraded) {
  tasks::Score s;
  s.state = tasks::Score::State::unscored;
  s.verdict = tasks::Verdict::not_run;
  const auto b = bundle(five_part_query(), answered(), s);
  EXPECT_EQ(b.attempt.status, "ok");
  EXPECT_EQ(b.verdicts[0].outcome, "not_run");
  EXPECT_EQ(b.verdicts[0].correct, std::nullopt);
}

TEST(RowWriter, OurOwnFailureIsNeitherRightNorWrong) {
  tasks::Score s;
  s.state = tasks::Score::State::unscored;
  s.verdict = tasks::Verdict::infra;
  s.detail = "fork: no memory";
  const auto b = bundle(five_part_query(), answered(), s);
  EXPECT_EQ(b.attempt.status, "infra");
  EXPECT_EQ(b.attempt.status_detail, "fork: no memory");
  EXPECT_EQ(b.verdicts[0].outcome, "infra");
  EXPECT_EQ(b.verdicts[0].correct, std::nullopt);
  EXPECT_EQ(b.verdicts[0].score, std::nullopt);
}

TEST(RowWriter, AnAttemptWithoutItsPrefixNamesNone) {
  auto o = answered();
  o.prefix_tokens = 0;
  o.prefix_key.clear();
  EXPECT_EQ(bundle(five_part_query(), o, right()).attempt.prefix_sha256, std::nullopt);
}

TEST(RowWriter, APrefixHasItsOwnRow) {
  PrefixRecord p;
  p.key = "key";
  p.tokens = 60;
  p.wall_ns = 7 * kMs;
  p.ledger.add_executed(Part::attention, {.flops = 10});
  p.ledger.add_executed(Part::experts, {.flops = 20});
  p.budget = "k=4";
  const auto row = make_prefix_row(p, 2);
  EXPECT_EQ(row.budget, "k=4");
  EXPECT_EQ(row.policy, 2);
  EXPECT_EQ(row.prefix_sha256, "key");
  EXPECT_EQ(row.n_tokens, 60);
  EXPECT_EQ(row.prefill_us, 7000);
  EXPECT_EQ(row.executed, (results::FlopsByPart{10, 0, 20, 0, 0}));
}

}  // namespace
