// Speed is measured on the work that was meant: tokens, FLOPs and weight bytes are those of the
// case, whole rounds only are kept, and ratios are of cases that belong together.
#include "harness/bench.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <set>

#include "engine/random_checkpoint.h"
#include "harness/bench_report.h"
#include "harness/exit_code.h"
#include "tests/harness/run_fixture.h"

namespace harness {
namespace {

using testing::HasSubstr;

std::unique_ptr<engine::Engine> tiny_engine(int streams) {
  auto c = engine::named_shape("smollm2-135m-nested:2");
  c.d_model = 64;
  c.n_heads = 2;
  c.n_kv_heads = 1;
  c.d_head = c.rope.d_rot = 32;
  c.vocab = 96;
  c.moe.d_expert = c.moe.d_shared = 32;
  engine::EngineOptions options;
  options.threads = 1;
  options.max_streams = streams;
  return engine::Engine::load(*engine::make_random_checkpoint(c, kernels::Dtype::f16, 1), options);
}

BenchSettings small() {
  BenchSettings s;
  s.grid = {2, 16};
  s.prompt_tokens = 32;
  s.new_tokens = 3;
  s.streams = 2;
  return s;
}

const BenchResult& of(const BenchReport& r, const std::string& name, const std::string& variant,
                      int streams = 1) {
  for (const auto& c : r.cases)
    if (c.name == name && c.variant == variant && c.streams == streams) return c;
  throw std::runtime_error("no case " + name + " " + variant);
}

TEST(Bench, CountsTheWorkOfEachCase) {
  const auto engine = tiny_engine(2);
  const BenchWork work(*engine, small());
  int64_t steps = 0;
  const auto report = bench(*engine, work, 2, [&] { return ++steps > 0; });
  EXPECT_EQ(steps, bench_steps(work, 2));
  std::set<std::string> names;
  for (const auto& c : report.cases) {
    EXPECT_EQ(c.seconds.size(), 2u);
    EXPECT_GT(c.best(), 0);
    EXPECT_LE(c.best(), c.median());
    EXPECT_GT(c.flops, 0u) << c.name;
    EXPECT_GT(c.weight_bytes, 0u) << c.name;
    names.insert(c.name);
  }
  const auto all = bench_case_names();
  EXPECT_EQ(names, std::set<std::string>(all.begin(), all.end()));
  EXPECT_EQ(report.limit_flops.size(), 2u);
  EXPECT_GT(report.best_bytes(), 0);
  // A prefill is the prompt, with the head on its last row.
  for (const int k : {2, 16}) {
    engine::ExpertBudget budget;
    budget.k = k;
    EXPECT_EQ(of(report, "prefill", "k=" + std::to_string(k)).flops,
              engine->cost_of(32, 1, budget).executed_flops());
  }
  // One step a token; both streams share what a step reads of the dense weights.
  const auto& one = of(report, "decode", "k=16");
  const auto& two = of(report, "decode", "k=16", 2);
  EXPECT_EQ(one.tokens, 3);
  EXPECT_EQ(two.tokens, 6);
  EXPECT_EQ(one.weight_bytes % 3, 0u);
  EXPECT_EQ(two.weight_bytes, one.weight_bytes);  // all experts run anyway
  EXPECT_EQ(two.flops, 2 * one.flops);
  EXPECT_LT(of(report, "decode", "k=2").weight_bytes, one.weight_bytes);
  // Mixed budgets cost what their mean costs.
  const double fixed = double(of(report, "mixed_prefill", "fixed 8").flops);
  EXPECT_NEAR(double(of(report, "mixed_prefill", "mixed 4,12").flops) / fixed, 1, 0.01);
  // 32 questions of 111 tokens after 620, once or each time: 6.1 times the rows.
  const double ratio =
      double(of(report, "mmlu", "whole").flops) / double(of(report, "mmlu", "prefix once").flops);
  EXPECT_GT(ratio, 4);
  EXPECT_LT(ratio, 6.5);
}

TEST(Bench, MoreMmluThanOneSubjectIsSpreadOverSubjects) {
  const auto engine = tiny_engine(2);
  auto settings = small();
  settings.only = {"mmlu"};
  settings.mmlu_questions = 493;  // 57 subjects have 14,042
  const BenchWork work(*engine, settings);
  ASSERT_EQ(work.cases().size(), 1u);
  const BenchCase& c = work.cases()[0];
  EXPECT_EQ(c.variant, "prefix once, 2 subjects");
  EXPECT_EQ(c.tokens, 493 * 731);
  // The untimed round is the first subject alone: half of the work, but for one question.
  const auto flops_of = [&](const std::function<void()>& run) {
    const auto before = engine->launched().executed_flops();
    run();
    return double(engine->launched().executed_flops() - before);
  };
  const double first = flops_of(c.warm_up), all = flops_of(c.run);
  EXPECT_NEAR(first / all, 0.5, 0.01);
  // Two prefixes, 493 questions, and four options of which the first token needs no row.
  engine::ExpertBudget budget;
  budget.k = engine->config().moe.trained_k;
  const double prefix = double(engine->cost_of(620, 0, budget).executed_flops());
  const double whole = double(engine->cost_of(731, 1, budget).executed_flops());
  EXPECT_NEAR(all / (2 * prefix + 493 * (whole - prefix)), 1, 0.01);
}

TEST(Bench, KeepsWholeRoundsOnly) {
  auto settings = small();
  settings.only = {"prefill"};
  const auto engine = tiny_engine(2);
  const BenchWork work(*engine, settings);
  ASSERT_EQ(work.cases().size(), 2u);
  int64_t steps = 0;  // 2 untimed, 2 of the first round, 1 of the second
  const auto report = bench(*engine, work, 5, [&] { return ++steps < 5; });
  for (const auto& c : report.cases) EXPECT_EQ(c.seconds.size(), 1u);
  EXPECT_EQ(report.limit_flops.size(), 1u);
}

TEST(Bench, WhatCannotBeMeasuredIsAnError) {
  const auto engine = tiny_engine(2);
  auto settings = small();
  settings.only = {"prefil"};
  EXPECT_THROW(BenchWork(*engine, settings), UsageError);
  settings = small();
  settings.prompt_tokens = engine->max_tokens();
  EXPECT_THROW(BenchWork(*engine, settings), UsageError);
}

TEST(Bench, RatiosAreOfTokensASecond) {
  BenchReport r;
  r.cases = {{"prefill", "k=2", 2, 1, 100, 1, 1, {1.0, 2.0}},
             {"prefill", "k=16", 16, 1, 100, 1, 1, {3.0, 5.0}},
             {"decode", "k=2", 2, 1, 10, 1, 1, {1.0}},
             {"decode", "k=2", 2, 4, 40, 1, 1, {2.0}},
             {"mmlu", "whole", 16, 1, 70, 1, 1, {6.0}},
             {"mmlu", "prefix once", 16, 1, 70, 1, 1, {1.0}},
             {"humaneval", "1 stream", 16, 1, 9, 1, 1, {}},
             {"humaneval", "4 streams", 16, 4, 9, 1, 1, {1.0}}};
  const auto ratios = speed_ratios(r);
  ASSERT_EQ(ratios.size(), 3u);
  EXPECT_EQ(ratios[0].what, "prefill: k=2 over k=16");
  EXPECT_DOUBLE_EQ(ratios[0].best, 3);
  EXPECT_DOUBLE_EQ(ratios[0].median, 4 / 1.5);
  EXPECT_EQ(ratios[1].what, "decode, k=2: 4 streams over one");
  EXPECT_DOUBLE_EQ(ratios[1].best, 2);
  EXPECT_EQ(ratios[2].what, "mmlu: prefix once over whole prompts");
  EXPECT_DOUBLE_EQ(ratios[2].best, 6);
}

class BenchCommand : public RunTest {};

TEST_F(BenchCommand, PrintsEveryRoundBesideTheLimits) {
  const std::vector<std::string> args = {
      "bench",  "--model",        "ladder",   "--rounds", "2",
      "--only", "prefill,decode", "--prompt", "16",       "--new-tokens",
      "2",      "--streams",      "2",        "--grid",   "1,16"};
  auto with_json = args;
  with_json.insert(with_json.end(), {"--format", "json"});
  const auto out = moeval(with_json);
  ASSERT_EQ(out.code, 0) << out.err;
  const auto j = nlohmann::json::parse(out.out);
  EXPECT_EQ(j["model"], "ladder");
  EXPECT_EQ(j["cases"].size(), 6u);
  for (const auto& c : j["cases"]) {
    EXPECT_EQ(c["seconds"].size(), 2u);
    EXPECT_GT(c["s_mfu"], 0);
    EXPECT_GT(c["s_mbu"], 0);
  }
  EXPECT_EQ(j["limit_flops_per_second"].size(), 2u);
  const auto table = moeval(args);
  ASSERT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr("limits measured in the same rounds (best of 2)"));
  const auto bad = moeval({"bench", "--shape", "olmo"});
  EXPECT_EQ(bad.code, kUsage);
  EXPECT_THAT(bad.err, HasSubstr("the nearest is olmoe"));
}

}  // namespace
}  // namespace harness
