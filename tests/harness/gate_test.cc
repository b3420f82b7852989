// The gate as a nightly job uses it: planted runs in, exit code out.
#include "harness/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "harness/gate_report.h"
#include "tests/harness/environment_guard.h"
#include "tests/harness/planted_run.h"
#include "tests/harness/program.h"
#include "tests/harness/run_fixture.h"
#include "tests/support/temp_folder.h"

namespace {

using namespace harness;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

bool forty_right(int q, int, int) { return q < 40; }

// Sixty questions cannot resolve one percentage point: margins to match.
constexpr const char* kPolicy = R"({
  "require_same": ["task", "prompt", "dataset", "scorer", "tokenizer"],
  "checks": [
    {"metric": "mean_k", "when": "same_policy"},
    {"metric": "useful_flops", "margin": 0.1},
    {"metric": "accuracy", "margin": 0.1, "min_n": 30}
  ]
})";

class GateTest : public testing::Test {
 protected:
  void SetUp() override {
    planted::store(db(), {.uuid = "base", .right = forty_right});
    policy_ = folder_.write("gate.json", kPolicy).string();
  }
  std::string db() const { return folder_.path() / "gate.db"; }
  void store(const planted::Run& run) const { planted::store(db(), run); }
  program::Result gate(const std::string& candidate, const std::string& policy = {},
                       std::vector<std::string> more = {}) const {
    std::vector<std::string> args = {
        "gate",        "--baseline", "base",
        "--candidate", candidate,    "--db",
        db(),          "--policy",   policy.empty() ? policy_ : policy};
    args.insert(args.end(), more.begin(), more.end());
    return program::run(folder_.path(), args);
  }
  static std::string last_line(const std::string& out) {
    const size_t end = out.find_last_not_of('\n');
    const size_t begin = out.rfind('\n', end);
    return out.substr(begin + 1, end - begin);
  }

  const test_support::EnvironmentGuard summary_{"GITHUB_STEP_SUMMARY", std::nullopt};
  support::TempFolder folder_;
  std::string policy_;
};

TEST_F(GateTest, AnUnchangedSystemPasses) {
  store({.uuid = "same", .right = forty_right});
  const auto r = gate("same");
  EXPECT_EQ(r.code, 0) << r.out << r.err;
  EXPECT_EQ(last_line(r.out), "gate: PASS (5 blocking) -> exit 0");
  EXPECT_THAT(r.out, HasSubstr("non_inferior"));
  EXPECT_THAT(r.out, HasSubstr("the same: task, prompt, dataset, scorer, tokenizer, model, policy, "
                               "gate_norm, generation, seed, instruction_set, tool, scenario\n"));
}

TEST_F(GateTest, ALossBeyondTheMarginFails) {
  store({.uuid = "worse", .right = [](int q, int, int) { return q < 20; }});
  const auto r = gate("worse");
  EXPECT_EQ(r.code, 1) << r.err;
  // 20 of 60 lost, none won: 90% score interval, by SciPy.
  EXPECT_EQ(last_line(r.out),
            "gate: FAIL (1 of 5 blocking) planted_task.accuracy -33.33 pp [-43.87, -24.23] margin "
            "10.00 -> exit 1");
}

TEST_F(GateTest, MoreComputeThanAllowedFailsAndEveryLaterCheckIsStillMade) {
  store({.uuid = "dear",
         .right = [](int q, int, int) { return q < 20; },
         .k = [](int q) { return q == 7 ? 5 : 4; },
         .flops = 1101});
  const auto r = gate("dear", "", {"--format", "json"});
  EXPECT_EQ(r.code, 1);
  const auto j = nlohmann::json::parse(r.out);
  std::map<std::string, std::string> outcome;
  for (const auto& c : j["checks"]) outcome[c["check"]] = c["outcome"];
  EXPECT_EQ(outcome["planted_task.mean_k"], "differs") << "one query of sixty";
  EXPECT_EQ(outcome["planted_task.useful_flops"], "above_margin");
  EXPECT_EQ(outcome["planted_task.accuracy"], "inferior");
  EXPECT_EQ(j["exit_code"], 1);
  EXPECT_THAT(j["verdict"].get<std::string>(),
              HasSubstr("FAIL (3 of 5 blocking) planted_task.mean_k 4.000 -> 4.017 (+0.417%), 1 of "
                        "60 attempts differ"));
  EXPECT_THAT(r.err, HasSubstr("-> exit 1"));
  store({.uuid = "cheap", .right = forty_right, .flops = 1099});
  EXPECT_EQ(gate("cheap").code, 0) << "within the relative margin";
}

TEST_F(GateTest, AnotherPolicySkipsWhatOnlyAFixedOneCanPromise) {
  store({.uuid = "k8", .policies = {8}, .right = forty_right});
  const auto r = gate("k8");
  EXPECT_EQ(r.code, 0) << r.out;
  EXPECT_THAT(r.out, HasSubstr("skipped"));
  EXPECT_THAT(last_line(r.out), HasSubstr("4 blocking"));
}

TEST_F(GateTest, AMistakeInPolicyOrCommandLineIsUsage) {
  store({.uuid = "same", .right = forty_right});
  const auto bad = folder_.write("bad.json", R"({"require_same": ["dataset"], "cheks": []})");
  auto r = gate("same", bad.string());
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("bad.json: /cheks: unknown key, the nearest known key is "
                               "\"checks\""));
  const auto scope = folder_.write("scope.json", R"({"require_same": ["dataset"], "checks": [
    {"metric": "mean_k", "scope": "planted_tsk"}]})");
  r = gate("same", scope.string());
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("/checks/0/scope: is \"planted_tsk\", the runs have planted_task "
                               "(nearest: planted_task)"));
  EXPECT_EQ(gate("same", "/nowhere.json").code, 2);
  EXPECT_EQ(gate("nobody").code, 2);
  r = gate("base");
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("are the same run, base"));
  EXPECT_EQ(program::run(folder_.path(), {"gate", "--db", db()}).code, 2);
}

TEST_F(GateTest, AnIncompleteRunIsNotJudgedAsAWholeOne) {
  store({.uuid = "part", .right = forty_right, .stored = 50});
  const auto r = gate("part");
  EXPECT_EQ(r.code, 4);
  EXPECT_EQ(last_line(r.out),
            "gate: INCOMPLETE (1 of 5 blocking) planted_task.completeness baseline 60 of 60, "
            "candidate 50 of 60 attempts marked -> exit 4");
  const auto lax = folder_.write("lax.json", R"({"require_same": ["dataset"], "checks": [
    {"metric": "completeness", "margin": 0.2},
    {"metric": "accuracy", "margin": 0.1, "min_n": 30}]})");
  EXPECT_EQ(gate("part", lax.string()).code, 0);
}

TEST_F(GateTest, WhatIsNotTheSameQuestionIsNotComparable) {
  store({.uuid = "data", .right = forty_right, .change = [](results::RunPlan& p) {
           p.tasks[0].dataset.sha256 = results::hash_of("other data");
         }});
  store({.uuid = "shots", .right = forty_right, .change = [](results::RunPlan& p) {
           p.tasks[0].task.n_shot = 5;
         }});
  store({.uuid = "fewer", .tasks = {{"planted_task", 45}}, .right = forty_right});
  store({.uuid = "task", .tasks = {{"other_task", 60}}, .right = forty_right});
  for (const auto& [run, why] : std::map<std::string, std::string>{
           {"data", "planted_task.dataset"},
           {"shots", "planted_task.task"},
           {"fewer",
            "planted_task.questions 15 attempts only in the baseline, 0 only in the "
            "candidate"},
           {"task", "planted_task is only in the baseline"}}) {
    const auto r = gate(run);
    EXPECT_EQ(r.code, 7) << run;
    EXPECT_THAT(last_line(r.out), HasSubstr("gate: NOT COMPARABLE (")) << run;
    EXPECT_THAT(last_line(r.out), HasSubstr(why)) << run;
  }
}

TEST_F(GateTest, TheFirstFailingGroupDecidesTheExitCode) {
  const auto bad = [](int q, int, int) { return q < 10; };
  const auto other_shots = [](results::RunPlan& p) { p.tasks[0].task.n_shot = 5; };
  store({.uuid = "all", .right = bad, .stored = 55, .change = other_shots});
  store({.uuid = "shots", .right = bad, .change = other_shots});
  store({.uuid = "unmarked", .right = bad, .marked = [](int q) { return q != 59; }});
  for (const auto& [run, code] :
       std::map<std::string, int>{{"all", 4}, {"shots", 7}, {"unmarked", 4}}) {
    const auto r = gate(run);
    EXPECT_EQ(r.code, code) << run;
    EXPECT_THAT(r.out, HasSubstr("inferior")) << "later checks are made all the same";
  }
  store({.uuid = "two-a", .tasks = {{"planted_task", 60}, {"small_task", 12}}});
  store({.uuid = "two-b",
         .tasks = {{"planted_task", 60}, {"small_task", 12}},
         .right = [](int q, int, int) { return q < 12; }});
  const auto r = program::run(folder_.path(), {"gate", "--baseline", "two-a", "--candidate",
                                               "two-b", "--db", db(), "--policy", policy_});
  EXPECT_EQ(r.code, 1) << "a failure goes before an inconclusive check";
  EXPECT_THAT(r.out, HasSubstr("n 12 below 30"));
  EXPECT_THAT(last_line(r.out), HasSubstr("(2 of "));
}

TEST_F(GateTest, ADatabaseThatIsNoneIsADatabaseError) {
  const auto file = folder_.write("no.db", "not a database");
  EXPECT_EQ(program::run(folder_.path(),
                         {"gate", "--baseline", "base", "--candidate", "x", "--db", file.string()})
                .code,
            6);
}

TEST_F(GateTest, TooWeakEvidenceIsInconclusiveAndThePolicySaysWhatThatMeans) {
  // Six lost, six won: no difference, but +- 10 points.
  store({.uuid = "noisy", .right = [](int q, int, int) { return q < 34 || (q >= 40 && q < 46); }});
  const auto policy = [&](const char* on_inconclusive, const char* severity) {
    return folder_
        .write("weak.json",
               fmt::format(R"({{"require_same": ["dataset"], "checks": [{{"metric": "accuracy",
                 "margin": 0.05, "on_inconclusive": "{}", "severity": "{}"}}]}})",
                           on_inconclusive, severity))
        .string();
  };
  const auto r = gate("noisy", policy("fail", "block"));
  EXPECT_EQ(r.code, 8) << r.out;
  EXPECT_THAT(last_line(r.out), HasSubstr("gate: INCONCLUSIVE (1 of 3 blocking) "
                                          "planted_task.accuracy 0.00 pp [-10.06, +10.06] margin "
                                          "5.00, n 60, an unchanged system needs about 495"));
  const auto warned = gate("noisy", policy("warn", "block"));
  EXPECT_EQ(warned.code, 0);
  EXPECT_EQ(last_line(warned.out), "gate: PASS (3 blocking, 1 warning) -> exit 0");
  EXPECT_EQ(last_line(gate("noisy", policy("pass", "block")).out),
            "gate: PASS (3 blocking) -> exit 0");
  EXPECT_EQ(last_line(gate("noisy", policy("fail", "warn")).out),
            "gate: PASS (2 blocking, 1 warning) -> exit 0");
}

TEST_F(GateTest, TheBuiltInPolicyNeedsAHundredQuestions) {
  store({.uuid = "same", .right = forty_right});
  const auto r = program::run(folder_.path(),
                              {"gate", "--baseline", "base", "--candidate", "same", "--db", db()});
  EXPECT_EQ(r.code, 8);
  EXPECT_THAT(last_line(r.out), HasSubstr("n 60 below 100"));
  const auto printed = program::run(folder_.path(), {"gate", "--print-policy"});
  EXPECT_EQ(printed.code, 0);
  EXPECT_EQ(gate("same", folder_.write("printed.json", printed.out).string()).code, 8);
}

TEST_F(GateTest, MarkdownGoesToTheStepSummaryToo) {
  store({.uuid = "worse", .right = [](int q, int, int) { return q < 20; }});
  const auto summary = folder_.write("summary.md", "before\n").string();
  const test_support::EnvironmentGuard guard("GITHUB_STEP_SUMMARY", summary);
  const auto r = gate("worse", "", {"--format", "md"});
  EXPECT_EQ(r.code, 1);
  EXPECT_THAT(r.out, HasSubstr("| planted_task.accuracy | block | fail | inferior | 60 |"));
  EXPECT_EQ(program::slurp(summary), "before\n" + r.out);
  const test_support::EnvironmentGuard nowhere("GITHUB_STEP_SUMMARY", "/nowhere/summary.md");
  const auto lost = gate("worse");
  EXPECT_EQ(lost.code, 1) << "the verdict stays";
  EXPECT_THAT(lost.err, HasSubstr("/nowhere/summary.md: "));
}

TEST_F(GateTest, AStepSummaryStaysBelowItsLimit) {
  const auto file = folder_.path() / "full.md";
  const std::string report = std::string(150, 'x') + "\n" + std::string(300 << 10, 'y') + "\n";
  EXPECT_EQ(append_summary(file, report), "");
  EXPECT_LE(std::filesystem::file_size(file), 200u << 10);
  EXPECT_THAT(program::slurp(file),
              EndsWith("The rest is left out: a step's summary is limited.\n"));
  folder_.write("full.md", std::string((1 << 20) - 100, 'z'));
  EXPECT_EQ(append_summary(file, report), "");
  EXPECT_LE(std::filesystem::file_size(file), 1u << 20);
  folder_.write("full.md", std::string(1 << 20, 'z'));
  EXPECT_EQ(append_summary(file, report), "is full");
  EXPECT_EQ(std::filesystem::file_size(file), 1u << 20);
}

TEST_F(GateTest, ATaskMayHaveItsOwnCheck) {
  store({.uuid = "two-a", .tasks = {{"planted_task", 40}, {"other_task", 40}}});
  store({.uuid = "two-b",
         .tasks = {{"planted_task", 40}, {"other_task", 40}},
         .right = [](int q, int, int) { return q > 9; }});
  const auto own = folder_.write("own.json", R"({"require_same": ["dataset"], "checks": [
    {"metric": "accuracy", "margin": 0.01},
    {"metric": "accuracy", "scope": "other_task", "margin": 0.01, "severity": "warn"}]})");
  const auto r = program::run(folder_.path(), {"gate", "--baseline", "two-a", "--candidate",
                                               "two-b", "--db", db(), "--policy", own.string()});
  EXPECT_EQ(r.code, 1);
  EXPECT_THAT(last_line(r.out),
              HasSubstr("gate: FAIL (1 of 4 blocking, 1 warning) planted_task.accuracy -25.00 pp"));
  EXPECT_THAT(r.out, Not(HasSubstr("STOP  other_task")));
}

using GateRunTest = RunTest;

TEST_F(GateRunTest, TwoRunsOfOneModelDifferInNothing) {
  // With and without prefix reuse: what was launched differs, the answers and what each would cost
  // alone do not.
  ASSERT_EQ(moeval(run_args("mmlu", db(), {"--limit", "2"})).code, 0);
  ASSERT_EQ(moeval(run_args("mmlu", db(), {"--limit", "2", "--no-prefix-reuse"})).code, 0);
  const auto r = moeval({"compare", "latest~1", "latest", "--db", db(), "--format", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  const auto t = nlohmann::json::parse(r.out)["tasks"][0];
  EXPECT_GT(t["n"], 8);
  EXPECT_EQ(t["n_flips"], 0);
  EXPECT_EQ(t["only_a"].get<int>() + t["only_b"].get<int>() + t["ungraded"].get<int>(), 0);
  EXPECT_EQ(t["prompts_differ"], 0);
  EXPECT_EQ(t["mean_k"]["n_differ"], 0);
  EXPECT_EQ(t["useful_flops"]["n_differ"], 0);
  EXPECT_LT(t["executed_flops"]["a"], t["executed_flops"]["b"]) << "a shared prefix is cheaper";
  EXPECT_NEAR(t["executed_flops"]["b"].get<double>(), t["useful_flops"]["b"].get<double>(), 1);
  const auto policy =
      folder_.write("gate.json", R"({"require_same": ["dataset", "model"], "checks": [
    {"metric": "useful_flops"}, {"metric": "accuracy", "margin": 0.25, "min_n": 3}]})");
  const auto g = moeval({"gate", "--baseline", "latest~1", "--candidate", "latest", "--db", db(),
                         "--policy", policy});
  EXPECT_EQ(g.code, 0) << g.out << g.err;
  EXPECT_THAT(g.out, HasSubstr("PASS (4 blocking)"));
}

// Such a run has nothing to mark, and is whole when every reference solution is scored.
TEST_F(GateRunTest, ARunThatGeneratesNothingIsWholeWhenAllIsScored) {
  for (int i = 0; i < 2; ++i) {
    const auto r =
        moeval({"sweep", "--model", moe(), "--tasks", "humaneval", "--data", "embedded", "--limit",
                "3", "--grid", "1,2", "--no-generate", "--new-run", "--db", db()});
    ASSERT_EQ(r.code, 0) << r.err;
  }
  const auto policy = folder_.write(
      "gate.json",
      R"({"require_same": ["dataset", "model"], "checks": [{"metric": "useful_flops"}]})");
  const auto g = moeval({"gate", "--baseline", "latest~1@fixed:2", "--candidate", "latest@fixed:2",
                         "--db", db(), "--policy", policy});
  EXPECT_EQ(g.code, 0) << g.out << g.err;
  EXPECT_THAT(g.out, HasSubstr("baseline 3 of 3, candidate 3 of 3 attempts done"));
}

}  // namespace
