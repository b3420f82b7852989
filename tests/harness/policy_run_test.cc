// Policies through the whole program: what is on record, and what is refused.
#include <gmock/gmock.h>

#include <sstream>

#include "tests/harness/policy_run_fixture.h"

namespace {

using testing::AllOf;
using testing::HasSubstr;

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

TEST_F(PolicyRunTest, RanksChangeNoRow) {
  const auto run = [&](const std::string& database, const std::string& ranks) {
    const auto out = moeval(args("run", "mmlu,mmlu_cloze", database,
                                 {"--limit", "1", "--policy", "top_p:0.5", "--ranks", ranks}));
    EXPECT_EQ(out.code, 0) << out.err;
    return table(database) +
           stored::rows(database,
                        "SELECT ordinal, hex(tokens), weights_bytes FROM attempt_expert "
                        "JOIN attempt USING(attempt_id) ORDER BY 1");
  };
  const auto one = run(db("1.db"), "1");
  EXPECT_EQ(run(db("2.db"), "2"), one);
  EXPECT_EQ(run(db("3.db"), "3"), one);
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

}  // namespace
