// Policies and sweeps through the whole program: what is on record, what adds up, what is refused.
#include <gmock/gmock.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "harness/environment.h"
#include "harness/runner.h"
#include "tests/harness/run_fixture.h"

namespace {

using testing::AllOf;
using testing::HasSubstr;

class PolicyRunTest : public RunTest {
 protected:
  std::vector<std::string> args(const std::string& command, const std::string& tasks,
                                const std::string& database,
                                std::vector<std::string> more = {}) const {
    std::vector<std::string> out = {command,  "--model",  moe(),  "--tasks", tasks,
                                    "--data", "embedded", "--db", database};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  std::string weights_sha() const {
    const auto out = moeval(args("run", "mmlu_cloze", db("sha.db"), {"--limit", "1"}));
    EXPECT_EQ(out.code, 0) << out.err;
    auto sha = stored::rows(db("sha.db"), "SELECT weights_sha256 FROM model");
    sha.pop_back();
    return sha;
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_.path() / name) << text;
    return folder_.path() / name;
  }
  std::string coefficients(const std::string& sha, double decode_ms = 1) const {
    return write("c.json",
                 nlohmann::json{{"format", "moeval_latency/1"},
                                {"model_sha256", sha},
                                {"prefill_ms_per_token", {{"1", 1}, {"16", 16}}},
                                {"decode_ms_per_token", {{"1", decode_ms}, {"16", 16 * decode_ms}}}}
                     .dump());
  }
};

TEST_F(PolicyRunTest, EveryPolicyRunsAndIsOnRecord) {
  for (const std::string policy : {"trained", "fixed:1", "fixed:16", "layers:2,9", "top_p:0.5,12",
                                   "threshold:0.05", "entropy:1,8"}) {
    const auto out =
        moeval(args("run", "mmlu_cloze", db("p.db"), {"--limit", "1", "--policy", policy}));
    ASSERT_EQ(out.code, 0) << policy << out.err;
  }
  EXPECT_EQ(
      stored::rows(db("p.db"), "SELECT label, kind, ifnull(k_fixed, '-') FROM policy ORDER BY 1"),
      "entropy:1,8\tentropy\t-\nfixed:1\tfixed\t1\nfixed:16\tfixed\t16\nlayers:2,9\tlayers\t-\n"
      "threshold:0.05\tthreshold\t-\ntop_p:0.5,12\ttop_p\t-\ntrained\ttrained\t-\n");
  EXPECT_EQ(
      stored::rows(
          db("p.db"),
          "SELECT DISTINCT label, budget, k_requested, k_min, k_max, k_mean FROM attempt "
          "JOIN policy USING(policy_id) WHERE kind IN ('fixed', 'layers', 'trained') ORDER BY 1"),
      "fixed:1\tk=1\t1\t1\t1\t1.0\nfixed:16\tk=16\t16\t16\t16\t16.0\n"
      "layers:2,9\tk=6;layers=2,9\t6\t2\t9\t5.5\ntrained\tk=4\t4\t4\t4\t4.0\n");
  // Tokens that choose inside their budget ran between one expert and all of it, not always alike.
  EXPECT_EQ(
      stored::rows(db("p.db"),
                   "SELECT COUNT(*) FROM attempt JOIN policy USING(policy_id) WHERE kind IN "
                   "('top_p', 'threshold', 'entropy') AND (k_min < 1 OR k_max > k_requested OR "
                   "k_mean <= 1 OR k_mean >= k_requested)"),
      "0\n");
  EXPECT_EQ(stored::rows(db("p.db"), "SELECT n_experts FROM model"), "16\n");
  EXPECT_EQ(stored::rows(db("p.db"),
                         "SELECT COUNT(*) FROM attempt WHERE weights_bytes IS NULL OR "
                         "batch_experts IS NULL OR batch_k_max < k_max"),
            "0\n");
  const auto board = moeval({"leaderboard", "--db", db("p.db")});
  EXPECT_THAT(board.out, HasSubstr("mean k"));
  EXPECT_THAT(board.out, HasSubstr("16.00"));
  EXPECT_EQ(moeval({"verify", "--db", db("p.db")}).code, 0);
}

TEST_F(PolicyRunTest, LayersAndExpertsAddUp) {
  ASSERT_EQ(moeval(args("run", "mmlu,humaneval", db(),
                        {"--limit", "2", "--policy", "top_p:0.6", "--router-margins",
                         "--max-new-tokens", "6"}))
                .code,
            0);
  EXPECT_EQ(stored::rows(db(),
                         "SELECT COUNT(*) > 0, COUNT(DISTINCT l.layer), SUM(l.k_min > l.k_max), "
                         "SUM(l.margin_mean IS NULL), SUM(l.margin_min > l.margin_mean) "
                         "FROM attempt_layer l JOIN attempt a USING(attempt_id)"),
            "1\t2\t0\t0\t0\n");
  EXPECT_EQ(stored::rows(
                db(),
                "SELECT COUNT(*) FROM (SELECT a.k_mean - 1.0 * SUM(l.k_sum) / SUM(l.tokens) AS d "
                "FROM attempt a JOIN attempt_layer l USING(attempt_id) GROUP BY a.attempt_id) "
                "WHERE abs(d) > 1e-9"),
            "0\n");
  const auto csv = moeval({"export", "--db", db(), "--format", "expert-load", "--output", "-"});
  ASSERT_EQ(csv.code, 0) << csv.err;
  std::stringstream lines(csv.out);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "policy,task,layer,expert,tokens");
  int64_t n = 0, tokens = 0;
  while (std::getline(lines, line)) {
    ++n;
    tokens += std::stoll(line.substr(line.rfind(',') + 1));
  }
  EXPECT_EQ(n, 2 * 2 * 16);
  EXPECT_EQ(std::to_string(tokens) + "\n",
            stored::rows(db(), "SELECT SUM(k_sum) FROM attempt_layer"));
}

TEST_F(PolicyRunTest, ATableDecidesQueryByQueryAndAMissingSampleIsNamedBeforeAnythingRuns) {
  const auto sha = weights_sha();
  nlohmann::json table{{"format", "moeval_table/1"}, {"model_sha256", sha}};
  const auto ids = stored::rows(db("sha.db"), "SELECT source_key FROM sample ORDER BY sample_id");
  std::stringstream all(ids);
  std::string id, last;
  int i = 0;
  while (std::getline(all, id)) {
    table["k"][id] = 1 + (i++ * 5) % 16;
    last = id;
  }
  const auto file = write("t.json", table.dump());
  auto out = moeval(args("run", "mmlu_cloze", db(), {"--limit", "1", "--policy", "table:" + file}));
  ASSERT_EQ(out.code, 0) << out.err;
  EXPECT_EQ(
      stored::rows(
          db(), "SELECT COUNT(DISTINCT k_requested) > 2, SUM(k_max <> k_requested) FROM attempt"),
      "1\t0\n");
  table["k"].erase(last);
  out = moeval(args("run", "mmlu_cloze", db("missing.db"),
                    {"--limit", "1", "--policy", "table:" + write("t2.json", table.dump())}));
  EXPECT_EQ(out.code, 2);
  EXPECT_THAT(out.err, AllOf(HasSubstr("t2.json"), HasSubstr("mmlu_cloze:" + last)));
  EXPECT_EQ(stored::rows(db("missing.db"), "SELECT COUNT(*) FROM run"), "0\n");
  table["model_sha256"] = std::string(64, '0');
  out = moeval(args("run", "mmlu_cloze", db("missing.db"),
                    {"--limit", "1", "--policy", "table:" + write("t3.json", table.dump())}));
  EXPECT_EQ(out.code, 7);
  EXPECT_THAT(out.err, AllOf(HasSubstr(std::string(64, '0')), HasSubstr(sha)));
}

TEST_F(PolicyRunTest, ACappedQueryKeepsTheKThatItWouldHaveHad) {
  const auto file = coefficients(weights_sha());
  auto out = moeval(args("run", "mmlu_cloze", db(),
                         {"--limit", "1", "--policy", "fixed:12", "--latency-cap", "1600",
                          "--latency-coefficients", file}));
  ASSERT_EQ(out.code, 0) << out.err;
  // k * prompt tokens <= 1600 ms.
  EXPECT_EQ(stored::rows(db(),
                         "SELECT SUM(k_uncapped <> 12), SUM(k_requested <> MIN(12, MAX(1, 1600 / "
                         "prompt_tokens))), "
                         "SUM(capped <> (k_requested < 12)), SUM(k_max <> k_requested), "
                         "COUNT(DISTINCT capped) FROM attempt"),
            "0\t0\t0\t0\t2\n");
  EXPECT_EQ(stored::rows(db(), "SELECT label, kind FROM policy"), "fixed:12+cap:1600ms\tfixed\n");
  out = moeval(args("run", "mmlu_cloze", db("none.db"),
                    {"--limit", "1", "--policy", "fixed:12", "--latency-cap", "3",
                     "--latency-coefficients", file}));
  EXPECT_EQ(out.code, 2);
  EXPECT_THAT(out.err, AllOf(HasSubstr("--latency-cap 3"), HasSubstr("no query fits")));
  EXPECT_EQ(stored::rows(db("none.db"), "SELECT COUNT(*) FROM run"), "0\n");
  out = moeval(args("run", "mmlu_cloze", db("none.db"), {"--latency-cap", "3"}));
  EXPECT_EQ(out.code, 2);
}

TEST_F(PolicyRunTest, APredictorDecidesFromTheQuestionAndIsCharged) {
  const auto predictor = [&](const std::string& name, const std::string& sha) {
    const auto header =
        nlohmann::json{
            {"version", 1},         {"model_sha256", sha}, {"features", {"log_bytes"}},
            {"activation", "relu"}, {"k", {2, 7}},         {"rule", {{"kind", "logits"}}}}
            .dump();
    support::SafetensorsWriter w;
    w.header = "\"__metadata__\":{\"moeval_predictor\":" + nlohmann::json(header).dump() + "}";
    // Seven experts for questions of more than 80 bytes.
    const float weight[] = {0, 1}, bias[] = {0, -4.4f};
    const auto bytes = [](const float* v) {
      return std::string(reinterpret_cast<const char*>(v), 2 * sizeof(float));
    };
    w.add("policy.weight", "F32", "[2, 1]", bytes(weight));
    w.add("policy.bias", "F32", "[2]", bytes(bias));
    return write(name, w.bytes());
  };
  auto out = moeval(
      args("run", "mmlu_cloze", db(),
           {"--limit", "2", "--policy", "predictor:" + predictor("p.safetensors", weights_sha())}));
  ASSERT_EQ(out.code, 0) << out.err;
  EXPECT_EQ(stored::rows(db(), "SELECT DISTINCT k_requested FROM attempt ORDER BY 1"), "2\n7\n");
  EXPECT_EQ(stored::rows(db(),
                         "SELECT SUM(k_max <> k_requested), SUM(complexity IS NULL), "
                         "SUM(predict_us IS NULL), MIN(useful_predictor_flops), "
                         "MAX(executed_predictor_flops) FROM attempt"),
            "0\t0\t0\t4\t4\n");
  EXPECT_EQ(stored::rows(db(), "SELECT length(predictor_sha256) FROM policy"), "64\n");
  out = moeval(args("run", "mmlu_cloze", db("no.db"),
                    {"--policy", "predictor:" + predictor("q.safetensors", std::string(64, '0'))}));
  EXPECT_EQ(out.code, 7);
  EXPECT_THAT(out.err, HasSubstr(std::string(64, '0')));
}

TEST_F(PolicyRunTest, WhatTheModelCannotRunIsRefusedAndLeavesNoDatabase) {
  auto dense = run_args("mmlu_cloze", db("no.db"), {"--policy", "fixed:2"});
  auto out = moeval(dense);
  EXPECT_EQ(out.code, 2);
  EXPECT_THAT(out.err, HasSubstr("budget of 2 experts, this model runs 1 to 1"));
  for (const std::string policy : {"fixed:17", "fixd:4", "layers:1", "table:/nowhere.json"}) {
    out = moeval(args("run", "mmlu_cloze", db("no.db"), {"--policy", policy}));
    EXPECT_EQ(out.code, 2) << policy << out.err;
    EXPECT_EQ(std::count(out.err.begin(), out.err.end(), '\n'), 1 + (policy[0] != 'f')) << out.err;
  }
  EXPECT_FALSE(std::filesystem::exists(db("no.db")));
}

TEST_F(PolicyRunTest, RouterScoresThatAreNotFiniteAreRowsAndWrong) {
  const auto model = folder_.path() / "overflow";
  support::write_tiny_model(model, {.n_experts = 16, .router_scale = 3e38f});
  const auto out = moeval({"run", "--model", model, "--tasks", "mmlu_cloze", "--data", "embedded",
                           "--db", db(), "--limit", "1"});
  ASSERT_EQ(out.code, 0) << out.err;
  EXPECT_EQ(stored::rows(db(),
                         "SELECT DISTINCT status, correct, k_requested, ifnull(k_mean, 'null') "
                         "FROM attempt JOIN verdict USING(attempt_id)"),
            "not_finite\t0\t4\tnull\n");
}

TEST_F(PolicyRunTest, TheStoreHoldsEveryFlopThatWasLaunched) {
  using namespace harness;
  RunSpec spec;
  spec.model = moe();
  spec.tasks = {"mmlu", "mmlu_cloze", "humaneval"};
  spec.data = "embedded";
  spec.limit = 3;
  spec.max_new_tokens = 6;
  spec.generate = true;
  spec.kind = RunKind::sweep;
  spec.grid = {1, 3, 16};
  spec.validate();
  const auto plan = make_plan(spec);
  auto model = load_model(spec);
  const auto policies = load_policies(spec, plan, model);
  const auto before = model.engine->launched();
  const auto store = results::ResultStore::open(db(), results::ResultStore::Mode::write);
  const std::atomic<bool> stop{false};
  const auto out = run(spec, plan, model, policies, read_environment(), nullptr, *store, stop);
  ASSERT_EQ(out.done, out.planned);
  const auto launched = [&](engine::Part p) {
    return std::to_string(model.engine->launched().executed_flops(p) - before.executed_flops(p));
  };
  const auto stored_sum = [&](const std::string& part) {
    auto sum = stored::rows(db(), "SELECT (SELECT SUM(executed_" + part +
                                      "_flops) FROM attempt) + (SELECT SUM(executed_" + part +
                                      "_flops) FROM prefix)");
    sum.pop_back();
    return sum;
  };
  EXPECT_EQ(stored_sum("attention"), launched(engine::Part::attention));
  EXPECT_EQ(stored_sum("router"), launched(engine::Part::router));
  EXPECT_EQ(stored_sum("experts"), launched(engine::Part::experts));
  EXPECT_EQ(stored_sum("head"), launched(engine::Part::head));
  EXPECT_EQ(stored::rows(db(), "SELECT COUNT(DISTINCT budget) FROM prefix"), "3\n");
}

TEST_F(PolicyRunTest, ASweepAsksEveryQuestionAtEveryKInSeveralWays) {
  const auto tables = folder_.path() / "tables";
  const auto out =
      moeval(args("sweep", "mmlu,mmlu_cloze,humaneval", db(),
                  {"--limit", "1", "--grid", "1,4,16", "--no-generate", "--num-fewshot", "0",
                   "--format", "json", "--write-tables", tables}));
  ASSERT_EQ(out.code, 0) << out.err;
  EXPECT_EQ(stored::rows(db(), "SELECT kind FROM run"), "sweep\n");
  EXPECT_EQ(stored::rows(db(), "SELECT label FROM policy ORDER BY k_fixed"),
            "fixed:1\nfixed:4\nfixed:16\n");
  // Letter questions: as they are and three rotations, unless a choice speaks of others.
  EXPECT_EQ(stored::rows(
                db(),
                "SELECT DISTINCT n FROM (SELECT COUNT(*) AS n FROM v_attempt WHERE task = 'mmlu' "
                "GROUP BY source_key, policy) WHERE n NOT IN (1, 4)"),
            "");
  EXPECT_EQ(
      stored::rows(
          db(), "SELECT DISTINCT shift, severity FROM v_attempt WHERE task = 'mmlu' ORDER BY 1, 2"),
      "clean\t0\noption_order\t1\noption_order\t2\noption_order\t3\n");
  EXPECT_EQ(
      stored::rows(
          db(),
          "SELECT DISTINCT n FROM (SELECT COUNT(*) AS n FROM v_attempt WHERE task = 'mmlu_cloze' "
          "GROUP BY source_key, policy)"),
      "3\n");
  EXPECT_EQ(stored::rows(db(),
                         "SELECT SUM(reference_logprob_nats IS NULL), SUM(correct IS NOT NULL), "
                         "SUM(status <> 'ok'), "
                         "SUM(output_tokens) FROM v_attempt WHERE task = 'humaneval'"),
            "0\t0\t0\t0\n");
  EXPECT_EQ(stored::rows(db(),
                         "SELECT COUNT(*) FROM query q JOIN shift s USING(shift_id) WHERE (s.name "
                         "= 'clean') <> (q.label_preserved IS NULL)"),
            "0\n");
  // The key moves with its choice: the log-probabilities' gold is another option in each rotation.
  const auto report = nlohmann::json::parse(out.out);
  EXPECT_EQ(report["grid"], (std::vector<int>{1, 4, 16}));
  ASSERT_EQ(report["cells"].size(), 9u);
  for (const auto& c : report["cells"]) {
    EXPECT_EQ(c["mean_k"], c["k"]);
    EXPECT_TRUE(c["gold_nll_nats"].is_number());
    EXPECT_EQ(c["accuracy"].is_null(), c["task"] == "humaneval");
  }
  const auto& n = report["needs"]["mmlu_cloze"];
  EXPECT_EQ(n["n"], n["easy"].get<int>() + n["elastic"].get<int>() + n["never"].get<int>() +
                        n["inverse"].get<int>());
  EXPECT_EQ(report["needs"]["humaneval"]["n"], 0);
  // The tables run.
  for (const std::string name : {"oracle", "shuffled", "matched_random", "length_only"}) {
    const auto policy = "table:" + (tables / (name + ".json")).string();
    const auto run = moeval(args("run", "mmlu,mmlu_cloze", db(name + ".db"),
                                 {"--limit", "1", "--num-fewshot", "0", "--policy", policy}));
    EXPECT_EQ(run.code, 0) << run.err;
  }
  // An answer at the oracle's k is the sweep's answer at that k.
  const auto answers = "SELECT task, source_key, v.gold_nll_nats FROM v_attempt v ";
  std::set<std::string> swept;
  std::stringstream a(
      stored::rows(db(), std::string(answers) + "WHERE shift = 'clean' AND task <> 'humaneval'"));
  for (std::string line; std::getline(a, line);) swept.insert(line);
  std::stringstream b(stored::rows(db("oracle.db"), answers));
  int same = 0;
  for (std::string line; std::getline(b, line); ++same) EXPECT_TRUE(swept.contains(line)) << line;
  EXPECT_GT(same, 4);
  EXPECT_EQ(moeval({"verify", "--db", db()}).code, 0);
  EXPECT_EQ(moeval({"export", "--db", db(), "--output", folder_.path() / "x"}).code, 2);
  const auto again = moeval({"rescore", "--db", db(), "--data", "embedded"});
  EXPECT_THAT(again.out, testing::Not(HasSubstr("1  1  0"))) << again.out;
}

TEST_F(PolicyRunTest, MarkingASweepAgainChangesNothing) {
  ASSERT_EQ(
      moeval(args("sweep", "mmlu", db(), {"--limit", "1", "--grid", "2", "--num-fewshot", "0"}))
          .code,
      0);
  const auto before =
      stored::rows(db(), "SELECT ordinal, answer, correct FROM v_attempt ORDER BY 1");
  const auto out = moeval({"rescore", "--db", db(), "--data", "embedded", "--format", "json"});
  ASSERT_EQ(out.code, 0) << out.err;
  const auto j = nlohmann::json::parse(out.out);
  EXPECT_EQ(j[0]["same"], j[0]["marked"]);
  EXPECT_GT(j[0]["marked"], 4);
  EXPECT_EQ(stored::rows(db(), "SELECT ordinal, answer, correct FROM v_attempt ORDER BY 1"),
            before);
}

TEST_F(PolicyRunTest, TheGridIsClippedToTheModel) {
  auto out = run_args("mmlu_cloze", db(), {"--limit", "1"});
  out[0] = "sweep";
  ASSERT_EQ(moeval(out).code, 0);
  EXPECT_EQ(stored::rows(db(), "SELECT label FROM policy"), "fixed:1\n");
  out.insert(out.end(), {"--grid", "4,2"});
  EXPECT_EQ(moeval(out).code, 2);
}

TEST_F(PolicyRunTest, AKilledSweepResumesToTheTableOfAnUninterruptedOne) {
  using Clock = std::chrono::steady_clock;
  const auto sweep = [&](const std::string& database) {
    return args("sweep", "mmlu,mmlu_cloze", database,
                {"--limit", "1", "--grid", "1,5,16", "--num-fewshot", "1"});
  };
  const auto begin = Clock::now();
  const auto whole = moeval(sweep(db("whole.db")));
  ASSERT_EQ(whole.code, 0) << whole.err;
  const auto run_time = Clock::now() - begin;
  const auto expected = table(db("whole.db"));
  std::mt19937_64 random(5);
  int killed = 0;
  for (int round = 0; round < 5; ++round) {
    const auto database = db("round" + std::to_string(round) + ".db");
    const program::Child child(folder_.path(), sweep(database));
    std::this_thread::sleep_for(std::chrono::duration_cast<std::chrono::microseconds>(
        run_time * std::uniform_real_distribution<>(0.3, 0.95)(random)));
    child.kill();
    killed += child.wait().code == 128 + SIGKILL;
    const auto resumed = moeval(sweep(database));
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_EQ(table(database), expected) << round;
    EXPECT_EQ(resumed.out, whole.out) << round;
  }
  EXPECT_GE(killed, 2);
}

TEST_F(PolicyRunTest, ADetachedSweepGoesOnByItselfAndLeavesALog) {
  const auto out =
      moeval(args("sweep", "mmlu_cloze", db(), {"--limit", "1", "--grid", "1,16", "--detach"}));
  ASSERT_EQ(out.code, 0) << out.err;
  ASSERT_THAT(out.out, AllOf(HasSubstr("pid "), HasSubstr("\nlog ")));
  const auto log = out.out.substr(out.out.find("log ") + 4);
  const std::filesystem::path path = log.substr(0, log.find('\n'));
  std::string text;
  for (int i = 0; i < 3000 && text.find(" stored in ") == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    text = program::slurp(path);
  }
  EXPECT_THAT(text, AllOf(HasSubstr("mmlu_cloze"), HasSubstr("complete")));
  EXPECT_EQ(stored::rows(db(), "SELECT kind, status FROM run"), "sweep\tcomplete\n");
}

}  // namespace
