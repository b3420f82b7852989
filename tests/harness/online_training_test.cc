// Training without a sweep, as a user does it: the engine answers what the policy draws, on the
// ladder, where what is best is planted.
#include <gmock/gmock.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "datasets/ladder_suite.h"
#include "tests/harness/policy_run_fixture.h"
#include "tests/support/sanitized.h"

namespace {

using nlohmann::json;
using testing::HasSubstr;

class OnlineTraining : public PolicyRunTest {
 protected:
  std::string file(const std::string& name = "p.safetensors") const {
    return folder_.path() / name;
  }
  std::vector<std::string> args(const std::vector<std::string>& more,
                                const std::string& out = "p.safetensors") const {
    std::vector<std::string> all = {"train",   "--online",     "--model",       "ladder",
                                    "--tasks", "ladder_train", "--num-fewshot", "0",
                                    "--out",   file(out)};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static const json& row(const json& report, const std::string& policy) {
    for (const auto& p : report["policies"])
      if (p["policy"] == policy) return p;
    ADD_FAILURE() << "no row " << policy;
    return report["policies"][0];
  }
};

TEST_F(OnlineTraining, ComesNearTheOracleOnQuestionsThatItNeverAsked) {
  if (test_support::kSanitized) GTEST_SKIP() << "thousands of queries; the same code runs below";
  const auto r =
      moeval(args({"--limit", "36", "--lambda", "1", "--epochs", "30", "--format", "json"}));
  ASSERT_EQ(r.code, 0) << r.err;
  const json j = json::parse(r.out);
  // Every query that ran is counted.
  EXPECT_EQ(j["questions"].get<int>() + j["held_out"].get<int>(), 4 * 36);
  EXPECT_EQ(j["queries"], j["questions"].get<int>() * j["passes"].get<int>());
  EXPECT_EQ(j["judging_queries"], j["held_out"].get<int>() * 16);
  EXPECT_GT(j["last_pass_reward"], j["first_pass_reward"]);
  EXPECT_EQ(row(j, "oracle")["lambda_regret"], 0);
  EXPECT_GE(row(j, "reinforce")["share_of_oracle_gain"], 0.8);
  EXPECT_GT(row(j, "reinforce")["adaptivity_gain_interval"][0], 0.1);
  EXPECT_GT(row(j, "reinforce")["reward"], row(j, "best_static")["reward"].get<double>() + 0.05);
  // Its file in a run of the other split.
  const auto run = moeval({"run", "--model", "ladder", "--tasks", "ladder", "--limit", "18",
                           "--num-fewshot", "0", "--policy", "predictor:" + file(), "--db", db()});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_GT(std::stod(stored::rows(db(), "SELECT AVG(correct) FROM v_attempt")),
            0.8 * row(j, "oracle")["accuracy"].get<double>());
}

TEST_F(OnlineTraining, TheSameSeedGivesTheSameBytesOnAnyThreads) {
  const auto bytes = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--limit", "4", "--epochs", "3", "--grid", "1,8,16"});
    const auto r = moeval(args(more));
    EXPECT_EQ(r.code, 0) << r.err;
    return program::slurp(file()) + r.out;
  };
  const auto once = bytes({"--threads", "1"});
  EXPECT_EQ(once, bytes({"--threads", "3"}));
  EXPECT_NE(once, bytes({"--seed", "1"}));
  EXPECT_THAT(once, HasSubstr("Learned from 36 queries (12 questions, 3 passes"));
}

// End to end: predictor and layer routers learn from the same answers. The model's own routers give
// every token experts 1 to k; trained ones give the experts that the question needs sooner.
TEST_F(OnlineTraining, RoutersLearnTooAndTheModelWithThemIsAModel) {
  if (test_support::kSanitized) GTEST_SKIP() << "thousands of queries; the parts run elsewhere";
  const std::string routed = folder_.path() / "routed";
  const auto r = moeval(args({"--limit", "36", "--lambda", "1", "--epochs", "60", "--grid",
                              "1,2,4,8,16", "--train-routers", routed, "--format", "json"}));
  ASSERT_EQ(r.code, 0) << r.err;
  const json j = json::parse(r.out), by_k = j["accuracy_by_k"];
  const auto sum = [&](const char* key) {
    double s = 0;
    for (const auto& a : by_k[key]) s += a.get<double>();
    return s;
  };
  EXPECT_GT(sum("after"), sum("before") + 0.1);
  EXPECT_GT(j["last_pass_reward"], j["first_pass_reward"]);
  // The written model is run as any other, and the predictor is of it.
  const auto run = moeval({"run", "--model", routed, "--tasks", "ladder", "--limit", "18",
                           "--num-fewshot", "0", "--policy", "predictor:" + file(), "--db", db()});
  ASSERT_EQ(run.code, 0) << run.err;
  // What was learned is in the file: at the same k it answers more.
  const auto accuracy_at_two = [&](const std::string& model, const std::string& name) {
    const std::string at = folder_.path() / name;
    const auto two = moeval({"run", "--model", model, "--tasks", "ladder", "--num-fewshot", "0",
                             "--policy", "fixed:2", "--db", at});
    EXPECT_EQ(two.code, 0) << two.err;
    return std::stod(stored::rows(at, "SELECT AVG(correct) FROM v_attempt"));
  };
  EXPECT_GT(accuracy_at_two(routed, "routed.db"), accuracy_at_two("ladder", "own.db") + 0.05);
  const auto other = moeval({"run", "--model", "ladder", "--tasks", "ladder", "--limit", "2",
                             "--policy", "predictor:" + file(), "--db", db()});
  EXPECT_NE(other.code, 0);
  EXPECT_THAT(other.err, HasSubstr("was made for a model of sha256"));
  const auto again = moeval(args({"--limit", "2", "--train-routers", routed}));
  EXPECT_EQ(again.code, 2) << again.err;
  EXPECT_THAT(again.err, HasSubstr("is there already"));
}

TEST_F(OnlineTraining, RoutersOfTheSameSeedAreTheSameBytes) {
  const auto bytes = [&](const std::string& name, const std::string& threads) {
    const std::string out = folder_.path() / name;
    const auto r = moeval(args({"--limit", "4", "--epochs", "2", "--grid", "1,8,16", "--threads",
                                threads, "--train-routers", out}));
    EXPECT_EQ(r.code, 0) << r.err;
    return program::slurp(out + "/model.safetensors") + program::slurp(file());
  };
  EXPECT_EQ(bytes("one", "1"), bytes("two", "3"));
}

// What the sweep's costs are, the drawn queries' are too.
TEST_F(OnlineTraining, CostsAreThoseOfASweep) {
  const auto r =
      moeval(args({"--limit", "4", "--epochs", "1", "--grid", "1,8,16", "--format", "json"}));
  ASSERT_EQ(r.code, 0) << r.err;
  const json j = json::parse(r.out);
  ASSERT_EQ(moeval({"sweep", "--model", "ladder", "--tasks", "ladder_train", "--num-fewshot", "0",
                    "--limit", "4", "--grid", "1,8,16", "--ways", "1", "--db", db()})
                .code,
            0);
  // Questions of one length cost alike: the static policy's share is the sweep's of its k.
  const auto& fixed = row(j, "best_static");
  const auto k = std::to_string(fixed["mean_k"].get<int>());
  const auto flops = [&](const std::string& of) {
    return std::stod(
        stored::rows(db(), "SELECT AVG(useful_flops) FROM v_attempt WHERE k_requested = " + of));
  };
  EXPECT_NEAR(fixed["flops_ratio"], flops(k) / flops("16"), 0.01);
}

TEST_F(OnlineTraining, AnInterruptedOneLeavesItsLastStep) {
  const program::Child child(folder_.path(), args({"--limit", "18", "--epochs", "100000"}));
  for (int i = 0; i < 6000 && !std::filesystem::exists(file()); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_TRUE(std::filesystem::exists(file()));  // after the first pass
  child.kill(SIGINT);
  const auto result = child.wait();
  EXPECT_EQ(result.code, 130) << result.err;
  EXPECT_THAT(result.err, HasSubstr("of 100000 passes"));
  const auto predict = moeval({"predict", "--predictor", file(), "--model", "ladder", "--file",
                               write("q.txt", "Which one\n")});
  EXPECT_EQ(predict.code, 0) << predict.err;
}

TEST_F(OnlineTraining, WhatIsWrongIsSaidInWords) {
  const auto refused = [&](const std::vector<std::string>& more) {
    const auto r = moeval(args(more));
    EXPECT_EQ(r.code, 2) << r.err;
    EXPECT_FALSE(std::filesystem::exists(file()));
    return r.err;
  };
  EXPECT_THAT(refused({"--sweep", "latest"}), HasSubstr("--online and --sweep"));
  EXPECT_THAT(refused({"--curve"}), HasSubstr("--online and --curve"));
  EXPECT_THAT(refused({"--objective", "success"}), HasSubstr("reinforce"));
  EXPECT_THAT(refused({"--held-out", "1"}), HasSubstr("--held-out 1"));
  EXPECT_THAT(refused({"--limit", "1", "--held-out", "0.01"}), HasSubstr("4 seed items"));
  EXPECT_THAT(refused({"--grid", "1,8"}), HasSubstr("--grid 1,8"));
  EXPECT_THAT(refused({"--router-rate", "2"}), HasSubstr("--train-routers"));
  const auto offline = moeval({"train", "--tasks", "ladder", "--db", db(), "--out", file()});
  EXPECT_EQ(offline.code, 2);
  EXPECT_THAT(offline.err, HasSubstr("only with --online"));
}

}  // namespace
