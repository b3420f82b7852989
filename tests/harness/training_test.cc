// Training as a user does it: a sweep of the ladder, a predictor from it, and a run that must come
// to what was planted; what is refused, and how.
#include <gmock/gmock.h>

#include <map>
#include <sstream>

#include "engine/policy/policy_error.h"
#include "engine/train/outcome.h"
#include "harness/exit_code.h"
#include "harness/ladder.h"
#include "harness/training_report.h"
#include "tests/harness/policy_run_fixture.h"

namespace {

using namespace harness;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

class Training : public PolicyRunTest {
 protected:
  std::string file(const std::string& name = "p.safetensors") const {
    return folder_.path() / name;
  }
  program::Result train(std::vector<std::string> more, const std::string& database,
                        const std::string& out = "p.safetensors") const {
    std::vector<std::string> args = {"train", "--db", database, "--out", file(out)};
    args.insert(args.end(), more.begin(), more.end());
    return moeval(args);
  }
  // A sweep of the tiny mixture of experts.
  void sweep(const std::string& database, const std::string& grid, const std::string& limit) const {
    const auto out = moeval(args("sweep", "mmlu_cloze", database,
                                 {"--limit", limit, "--grid", grid, "--num-fewshot", "0"}));
    ASSERT_EQ(out.code, 0) << out.err;
  }
};

// One sweep of the ladder's training split, for all tests of it.
class LadderTraining : public Training {
 protected:
  static constexpr int kPerSubject = 36;  // two of every class at every site

  void SetUp() override {
    Training::SetUp();
    if (shared_ == nullptr) {
      shared_ = new support::TempFolder;
      setenv("MOEVAL_CACHE", (shared_->path() / "cache").c_str(), 1);
      std::string grid = "1";
      for (int k = 2; k <= 16; ++k) grid += "," + std::to_string(k);
      const auto out = moeval({"sweep", "--model", "ladder", "--tasks", "ladder_train", "--grid",
                               grid, "--limit", std::to_string(kPerSubject), "--num-fewshot", "0",
                               "--ways", "1", "--db", swept()});
      ASSERT_EQ(out.code, 0) << out.err;
    }
    setenv("MOEVAL_CACHE", (shared_->path() / "cache").c_str(), 1);
  }
  static void TearDownTestSuite() {
    delete shared_;
    shared_ = nullptr;
  }
  static std::string swept() { return shared_->path() / "sweep.db"; }
  static json report(const program::Result& r) {
    EXPECT_EQ(r.code, 0) << r.err;
    return json::parse(r.out);
  }
  static const json& row(const json& report, const std::string& policy) {
    for (const auto& p : report["policies"])
      if (p["policy"] == policy) return p;
    ADD_FAILURE() << "no row " << policy;
    return report["policies"][0];
  }
  static TrainingData read() {
    const auto store = results::ResultStore::open(swept(), results::ResultStore::Mode::read);
    const auto spec = spec_of_sweep(*store, "latest", "");
    return read_training_data(*store, "latest", spec, load_model(spec), {});
  }

  static inline support::TempFolder* shared_ = nullptr;
};

TEST_F(LadderTraining, APolicyFromASweepComesNearTheOracleOnQuestionsThatItNeverSaw) {
  const auto j = report(train({"--format", "json", "--lambda", "1"}, swept()));
  EXPECT_EQ(j["questions"], 4 * kPerSubject);
  EXPECT_EQ(row(j, "oracle")["lambda_regret"], 0);
  EXPECT_EQ(row(j, "oracle")["share_of_oracle_gain"], 1);
  EXPECT_GE(row(j, "policy")["share_of_oracle_gain"], 0.95);
  EXPECT_GE(row(j, "plug_in")["share_of_oracle_gain"], 0.95);
  EXPECT_LE(row(j, "matched_random")["adaptivity_gain"], 0);
  EXPECT_LE(row(j, "best_static")["adaptivity_gain"], 1e-9);
  EXPECT_LT(row(j, "length_only")["adaptivity_gain"], 0.05);
  EXPECT_GT(j["flops_needed"]["spearman"], 0.95);
  EXPECT_LT(j["flops_needed"]["mae"], 0.3 * j["flops_needed"]["mae_constant"].get<double>());

  // The file in the engine, on the other split. Costs of each k are the sweep's; accuracies of
  // static k are planted, the policy's are answers.
  const auto database = db("runs.db");
  for (const auto& policy : {"predictor:" + file(), std::string("fixed:16")})
    ASSERT_EQ(moeval({"run", "--model", "ladder", "--tasks", "ladder", "--num-fewshot", "0",
                      "--policy", policy, "--db", database})
                  .code,
              0);
  const auto data = datasets::make_ladder("ladder");
  const auto train_rows = read();
  std::vector<int64_t> rows(static_cast<size_t>(train_rows.examples.n));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  const auto cost = engine::train::mean_cost(train_rows.examples, rows);
  std::vector<double> accuracy;
  const auto n = static_cast<double>(data.samples.size());
  double oracle_cost = 0;
  for (int k = 1; k <= 16; ++k)
    accuracy.push_back(
        static_cast<double>(planted_outcome(data, [k](const auto&) { return k; }).right) / n);
  for (const auto& s : data.samples)
    oracle_cost += cost[static_cast<size_t>(datasets::ladder_truth(s.id)->needed_k() - 1)] / n;
  const double oracle_accuracy =
      static_cast<double>(planted_outcome(data, harness::oracle_k).right) / n;
  const engine::train::StaticHull hull(cost, accuracy);
  const auto number = [&](const std::string& sql) {
    return std::stod(stored::rows(database, sql));
  };
  const std::string from = " FROM v_attempt WHERE policy LIKE 'predictor:%'";
  EXPECT_EQ(number("SELECT COUNT(*)" + from), n);
  const double run_accuracy = number("SELECT AVG(correct)" + from);
  const std::string flops =
      "SELECT AVG(useful_attention_flops + useful_router_flops + useful_experts_flops + "
      "useful_head_flops + useful_predictor_flops) FROM attempt WHERE policy_id = (SELECT "
      "policy_id FROM policy WHERE label LIKE '";
  const double run_cost = number(flops + "predictor:%')") / number(flops + "fixed:16')");
  EXPECT_GE(run_accuracy - hull.accuracy_at(run_cost),
            0.95 * (oracle_accuracy - hull.accuracy_at(oracle_cost)))
      << run_accuracy << " at " << run_cost << ", oracle " << oracle_accuracy << " at "
      << oracle_cost;
}

TEST_F(LadderTraining, NothingIsGainedWhenOutcomesAreShuffled) {
  auto data = read();
  auto& ex = data.examples;
  engine::train::Random random(5);
  std::vector<size_t> order(static_cast<size_t>(ex.n));
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  random.shuffle(std::span(order));
  const auto success = ex.success;
  const auto n_k = static_cast<size_t>(ex.n_k());
  for (size_t r = 0; r < order.size(); ++r)
    std::copy_n(success.begin() + static_cast<std::ptrdiff_t>(order[r] * n_k), n_k,
                ex.success.begin() + static_cast<std::ptrdiff_t>(r * n_k));
  TrainingPlan plan;
  plan.options.lambda = 1.2;  // where it pays to differ
  const auto result = harness::train(data, plan);
  const auto& mine = result.policies.front().outcome;
  const auto& oracle = result.policies.back().outcome;
  EXPECT_GT(oracle.gain, 0.3);
  EXPECT_LT(mine.gain, 0.1 * oracle.gain);
  EXPECT_LT(mine.gain_interval.lower, 0.01);
  EXPECT_THAT(render_training(data, plan, result, Format::table),
              HasSubstr("no adaptivity gain over a static k"));
}

TEST_F(LadderTraining, TheSameSeedGivesTheSameBytesOnAnyThreads) {
  const std::vector<std::string> few = {"--epochs", "6", "--curve"};
  const auto bytes = [&](std::vector<std::string> more) {
    more.insert(more.end(), few.begin(), few.end());
    const auto out = train(more, swept());
    EXPECT_EQ(out.code, 0) << out.err;
    return program::slurp(file()) + out.out;
  };
  const auto once = bytes({"--threads", "1"});
  EXPECT_EQ(once, bytes({"--threads", "3"}));
  EXPECT_EQ(once, bytes({"--curve"}));  // a report changes no file
  EXPECT_NE(once, bytes({"--seed", "1"}));
}

TEST_F(LadderTraining, LambdaIsFoundForAWantedCost) {
  for (const std::string objective : {"success", "policy"}) {
    const auto j = report(
        train({"--objective", objective, "--target-cost", "0.6", "--format", "json", "--curve"},
              swept()));
    const auto& mine = j["policies"][0];
    EXPECT_LE(mine["flops_ratio"], 0.6) << objective;
    EXPECT_GT(mine["flops_ratio"], 0.4) << objective;
    EXPECT_GT(mine["share_of_oracle_gain"], 0.8) << objective;
    EXPECT_GT(j["lambda"], 0.1) << objective;
    ASSERT_EQ(j["curve"].size(), 10u);
    EXPECT_LT(j["curve"][9]["policy"]["flops_ratio"], j["curve"][0]["policy"]["flops_ratio"]);
  }
  const auto out = train({"--target-cost", "0.05"}, swept());
  EXPECT_EQ(out.code, 2);
  EXPECT_THAT(out.err, AllOf(HasSubstr("--target-cost 0.05"), HasSubstr("k = 1 alone costs")));
}

TEST_F(LadderTraining, TablesOfTheCrossFittedDecisionsRun) {
  const std::string tables = folder_.path() / "tables";
  const auto j =
      report(train({"--format", "json", "--epochs", "40", "--write-tables", tables}, swept()));
  for (const std::string name : {"policy", "plug_in", "knn", "best_static", "oracle"}) {
    SCOPED_TRACE(name);
    const auto run =
        moeval({"run", "--model", "ladder", "--tasks", "ladder_train", "--limit",
                std::to_string(kPerSubject), "--num-fewshot", "0", "--policy",
                "table:" + tables + "/train_" + name + ".json", "--db", db(name + ".db")});
    ASSERT_EQ(run.code, 0) << run.err;
    // Planted answers do not depend on the order of the options: the table's run is its row.
    EXPECT_NEAR(std::stod(stored::rows(db(name + ".db"), "SELECT AVG(correct) FROM v_attempt")),
                row(j, name)["accuracy"].get<double>(), 1e-9);
    EXPECT_NEAR(std::stod(stored::rows(db(name + ".db"), "SELECT AVG(k_mean) FROM v_attempt")),
                row(j, name)["mean_k"].get<double>(), 1e-9);
  }
}

TEST_F(LadderTraining, PredictSaysWhatARunWouldDo) {
  ASSERT_EQ(train({"--epochs", "120"}, swept()).code, 0);
  std::string lines;
  std::map<std::string, int> wanted;
  ASSERT_EQ(moeval({"run", "--model", "ladder", "--tasks", "ladder", "--limit", "9",
                    "--num-fewshot", "0", "--policy", "predictor:" + file(), "--db", db()})
                .code,
            0);
  const auto data = datasets::make_ladder("ladder");
  for (const auto& s : data.samples) {
    const auto k =
        stored::rows(db(), "SELECT k_requested FROM v_attempt WHERE source_key = '" + s.id + "'");
    if (k.empty()) continue;
    lines += s.input + "\n";
    wanted[s.input] = std::stoi(k);
  }
  const auto out = moeval({"predict", "--predictor", file(), "--model", "ladder", "--file",
                           write("q.txt", lines), "--format", "json"});
  ASSERT_EQ(out.code, 0) << out.err;
  const auto j = json::parse(out.out);
  ASSERT_EQ(j.size(), 36u);
  std::set<int> seen;
  for (const auto& p : j) {
    EXPECT_EQ(p["k"], wanted.at(p["question"])) << p["question"];
    EXPECT_EQ(p["p_k"].size(), 16u);
    EXPECT_LE(p["flops"], p["flops_full"]);
    EXPECT_GT(p["predictor_flops"], 0);
    seen.insert(p["k"].get<int>());
  }
  EXPECT_GT(seen.size(), 8u);
  const auto table = moeval({"predict", "--predictor", file(), "--model", "ladder", "--file",
                             write("one.txt", data.samples[0].input + "\r\n\n")});
  EXPECT_THAT(table.out, AllOf(HasSubstr(data.samples[0].input), HasSubstr("needed k")));
}

TEST_F(Training, WhatIsWrongIsSaidInWords) {
  const auto swept = db("sweep.db");
  sweep(swept, "1,4,16", "2");
  const auto refused = [&](std::vector<std::string> more, int code, const std::string& database,
                           const std::string& to = "p.safetensors") {
    const auto out = train(std::move(more), database, to);
    EXPECT_EQ(out.code, code) << out.err;
    EXPECT_FALSE(std::filesystem::exists(file()));
    EXPECT_EQ(std::count(out.err.begin(), out.err.end(), '\n'), 1) << out.err;
    return out.err;
  };
  EXPECT_THAT(refused({"--data", "embedded", "--folds", "500"}, 2, swept),
              AllOf(HasSubstr("--folds 500"), HasSubstr("seed items")));
  EXPECT_THAT(refused({"--lambda", "1", "--target-cost", "0.5"}, 2, swept), HasSubstr("--lambda"));
  EXPECT_THAT(refused({"--target-cost", "1.5"}, 2, swept), HasSubstr("1.5"));
  EXPECT_THAT(refused({"--lambda", "inf"}, 2, swept), HasSubstr("--lambda inf"));
  EXPECT_THAT(refused({"--lambda", "1e200"}, 2, swept), HasSubstr("--lambda 1e+200"));
  EXPECT_THAT(refused({"--entropy", "1e9"}, 2, swept), HasSubstr("--entropy"));
  EXPECT_THAT(refused({"--mu", "1", "--objective", "success"}, 2, swept), HasSubstr("--mu"));
  EXPECT_THAT(refused({"--mu", "1"}, 2, swept), HasSubstr("--latency-cap"));
  EXPECT_THAT(refused({"--sweep", "zzz"}, 2, swept), HasSubstr("zzz"));
  EXPECT_THAT(refused({}, 2, swept, "none/p.safetensors"), HasSubstr("no such folder"));
  // Another model: the same shape, other weights.
  const auto other = folder_.path() / "other";
  support::write_tiny_model(other, {.n_experts = 8});
  EXPECT_THAT(refused({"--model", other, "--data", "embedded"}, 7, swept), HasSubstr("weights"));
  // A sweep without the model's largest k; of one k only.
  sweep(db("no16.db"), "1,4", "1");
  EXPECT_THAT(refused({"--data", "embedded"}, 2, db("no16.db")),
              AllOf(HasSubstr("k = 1,4"), HasSubstr("k = 16 is needed")));
  sweep(db("only16.db"), "16", "1");
  EXPECT_THAT(refused({"--data", "embedded"}, 2, db("only16.db")), HasSubstr("nothing to decide"));
  // No sweep at all.
  ASSERT_EQ(moeval(args("run", "mmlu_cloze", db("run.db"), {"--limit", "1"})).code, 0);
  EXPECT_THAT(refused({"--data", "embedded"}, 2, db("run.db")), HasSubstr("holds no sweep yet"));
  // An unfinished one: a planned k without a result.
  const auto copy = db("unfinished.db");
  std::filesystem::copy(swept, copy);
  stored::change(copy,
                 "DELETE FROM verdict WHERE attempt_id IN (SELECT attempt_id FROM attempt WHERE "
                 "k_requested = 4)");
  EXPECT_THAT(refused({"--data", "embedded"}, 4, copy), HasSubstr("nothing is graded at k = 4"));
  ASSERT_EQ(train({"--data", "embedded", "--epochs", "3", "--folds", "2"}, swept).code, 0);
  // predict
  const auto predict = [&](const std::string& model, const std::string& text) {
    return moeval(
        {"predict", "--predictor", file(), "--model", model, "--file", write("q.txt", text)});
  };
  EXPECT_EQ(predict(moe(), "What is it?\n").code, 0);
  EXPECT_EQ(predict(moe(), "\n").code, 2);
  const auto mismatch = predict(other, "What is it?\n");
  EXPECT_EQ(mismatch.code, 7) << mismatch.err;
  EXPECT_EQ(moeval({"predict", "--predictor", "nothing", "--model", moe()}).code, 2);
  EXPECT_EQ(
      moeval({"predict", "--predictor", write("x", "x"), "--model", moe(), "--file", file("q.txt")})
          .code,
      3);
}

}  // namespace
