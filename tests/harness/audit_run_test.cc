// Audits through the whole program on the ladder, where what every question needs is planted.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "datasets/ladder_suite.h"
#include "tests/harness/run_fixture.h"
#include "tests/support/temp_folder.h"

namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class AuditRun : public RunTest {
 protected:
  void SetUp() override {
    RunTest::SetUp();
    auto sweep = args("sweep", "ladder,ladder_shifted");
    sweep.insert(sweep.end(), {"--grid", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", "--ways", "1",
                               "--write-tables", folder_.path() / "tables"});
    const auto r = moeval(sweep);
    ASSERT_EQ(r.code, 0) << r.err;
  }
  std::vector<std::string> args(const std::string& command, const std::string& tasks) const {
    return {command, "--model",  "ladder", "--tasks", tasks, "--db",
            db(),    "--sample", "36",     "--seed",  "1"};
  }
  void run(const std::string& policy) const {
    auto a = args("run", "ladder,ladder_shifted");
    a.insert(a.end(), {"--policy", policy});
    const auto r = moeval(a);
    ASSERT_EQ(r.code, 0) << r.err;
  }
  void run_table(const std::string& name) const {
    run("table:" + (folder_.path() / "tables" / (name + ".json")).string());
  }
  json audit() const {
    const auto r = moeval({"audit", "--db", db(), "--format", "json"});
    EXPECT_EQ(r.code, 0) << r.err;
    return json::parse(r.out);
  }
};

TEST_F(AuditRun, TheOracleHasNoRegretAndAShuffledOneNoOrder) {
  run_table("oracle");
  const auto oracle = audit();
  EXPECT_EQ(oracle["answered"], 72);
  EXPECT_EQ(oracle["need_unknown"], 0);
  for (const auto& t : oracle["tasks"]) {
    const auto& c = t["clean"];
    EXPECT_EQ(c["n"], 36);
    EXPECT_EQ(c["lambda_regret"]["value"], 0) << t["task"];
    EXPECT_EQ(c["under_allocation"]["value"], 0);
    EXPECT_EQ(c["over_allocation"]["value"], 0);
    EXPECT_EQ(c["waste"]["value"], 0);
    EXPECT_GT(c["adaptivity_gain"]["interval"][0], 0.1);
    EXPECT_NEAR(c["oracle_gap_closed"]["value"], 1, 0.01);
    EXPECT_EQ(t["prediction"]["spearman_finite"]["value"], 1);
  }
  // SQL says the same of every query.
  for (const auto& t : oracle["tasks"])
    for (const auto& [name, n] : t["clean"]["classes"].items())
      EXPECT_EQ(
          stored::rows(db(), "SELECT COUNT(*) FROM v_misallocation WHERE task = '" +
                                 t["task"].get<std::string>() + "' AND class = '" + name + "'"),
          std::to_string(n.get<int>()) + "\n")
          << t["task"] << name;

  run_table("shuffled");
  const auto shuffled = audit();
  for (const auto& t : shuffled["tasks"]) {
    EXPECT_LT(t["prediction"]["spearman"]["interval"][0], 0);
    EXPECT_GT(t["prediction"]["spearman"]["interval"][1], 0);
    EXPECT_LT(t["clean"]["adaptivity_gain"]["interval"][0], 0.05);
    EXPECT_GT(t["clean"]["lambda_regret"]["value"], 0.1);
  }

  run("fixed:8");
  const auto constant = audit();
  for (const auto& t : constant["tasks"]) {
    EXPECT_TRUE(t["prediction"]["spearman"]["value"].is_null());
    EXPECT_NEAR(t["clean"]["adaptivity_gain"]["value"], 0, 0.15);
    EXPECT_LE(t["clean"]["adaptivity_gain"]["value"], 0);
    EXPECT_THAT(t["findings"].dump(), HasSubstr("every question got the same k (8)"));
  }
}

// Shifts that leave the ladder's key words alone; k cannot move where it is a constant.
TEST_F(AuditRun, AConstantKDriftsNowhereAndTheAuditSaysNothingOfShifts) {
  const auto shifted = [&](std::vector<std::string> a) {
    a.insert(a.end(), {"--shift", "template:1,spoof_down:1,option_order:1"});
    const auto r = moeval(a);
    ASSERT_EQ(r.code, 0) << r.err;
  };
  auto sweep = args("sweep", "ladder");
  sweep.insert(sweep.end(), {"--grid", "1,8,16", "--ways", "1"});
  shifted(sweep);
  auto fixed = args("run", "ladder");
  fixed.insert(fixed.end(), {"--policy", "fixed:8"});
  shifted(fixed);
  const auto j = audit();
  EXPECT_EQ(j["need_unknown"], 0);  // the sweep with these shifts is the one that is taken
  ASSERT_EQ(j["tasks"].size(), 1u);
  ASSERT_EQ(j["tasks"][0]["shifts"].size(), 3u);
  for (const auto& d : j["tasks"][0]["shifts"]) {
    EXPECT_EQ(d["n"], 36);
    EXPECT_EQ(d["k_drift"]["value"], 0) << d["shift"];
    EXPECT_EQ(d["k_drift_p"], 1);
    EXPECT_EQ(d["same_k"]["value"], 1);
    EXPECT_EQ(d["excess_drift"]["value"], 0);
    EXPECT_EQ(d["right_to_wrong"].get<int>() + d["wrong_to_right"].get<int>(), 0);
  }
  for (const auto& f : j["tasks"][0]["findings"])
    EXPECT_EQ(f.get<std::string>().find("drift"), std::string::npos) << f;
}

TEST_F(AuditRun, ASpuriousCueIsCaughtWhereItMeansNothing) {
  run_table("shortcut");
  const auto j = audit();
  ASSERT_EQ(j["tasks"].size(), 2u);
  const auto& learned = j["tasks"][0];
  const auto& shifted = j["tasks"][1];
  EXPECT_EQ(learned["task"], "ladder");
  EXPECT_GT(learned["prediction"]["spearman_finite"]["interval"][0], 0.3);
  EXPECT_LT(shifted["prediction"]["spearman_finite"]["interval"][0], 0.2);
  EXPECT_GT(shifted["clean"]["under_allocation"]["value"],
            2 * learned["clean"]["under_allocation"]["value"].get<double>());
  EXPECT_FALSE(shifted["worst_under"].empty());
  EXPECT_FALSE(shifted["worst_under"][0]["text"].get<std::string>().empty());
  const auto page = moeval({"audit", "--db", db()}).out;
  for (const char* part : {"Audit of", "under-allocated", "What the questions need",
                           "Worst queries", "gain over static k at equal FLOPs"})
    EXPECT_THAT(page, HasSubstr(part));
  EXPECT_THAT(moeval({"audit", "--db", db(), "--format", "md"}).out, HasSubstr("## ladder"));
}

// A word that goes along with the difficulty becomes another one, and so does a request around the
// question. Who learned the word grants another k under the first shift alone, by what was planted.
class AuditUnderShifts : public RunTest {};

TEST_F(AuditUnderShifts, ALearnedShortcutDriftsByWhatWasPlantedAndNothingElseIsBlamed) {
  const auto asked = [&](const std::string& command, std::vector<std::string> more) {
    std::vector<std::string> a{command,
                               "--model",
                               "ladder",
                               "--tasks",
                               "ladder",
                               "--db",
                               db("cue.db"),
                               "--sample",
                               "36",
                               "--seed",
                               "1",
                               "--shift",
                               "ladder_cue:2,template:1"};
    a.insert(a.end(), more.begin(), more.end());
    const auto r = moeval(a);
    ASSERT_EQ(r.code, 0) << r.err;
  };
  const auto tables = folder_.path() / "cue";
  asked("sweep", {"--grid", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", "--ways", "1",
                  "--write-tables", tables});
  const auto audited = [&](const std::string& table) {
    asked("run", {"--policy", "table:" + (tables / (table + ".json")).string()});
    const auto r = moeval({"audit", "--db", db("cue.db"), "--format", "json"});
    EXPECT_EQ(r.code, 0) << r.err;
    return json::parse(r.out)["tasks"][0];
  };
  std::stringstream ids(stored::rows(db("cue.db"), "SELECT source_key FROM sample"));
  // Of all questions, and of those that some k answers for good.
  double planted = 0, planted_finite = 0, finite = 0, under = 0, under_shifted = 0, n = 0;
  for (std::string id; std::getline(ids, id); ++n) {
    const auto truth = datasets::ladder_truth(id);
    ASSERT_TRUE(truth) << id;
    const int before = datasets::ladder_shortcut_k(truth->filler);
    const int after = datasets::ladder_shortcut_k(datasets::ladder_filler_after(truth->filler, 2));
    planted += after - before;
    const bool step = truth->kind == datasets::LadderTruth::Kind::step;
    finite += step;
    planted_finite += step ? after - before : 0;
    under += step && before < truth->difficulty;
    under_shifted += step && after < truth->difficulty;
  }
  ASSERT_EQ(n, 36);
  ASSERT_GT(under_shifted, under + 4);

  const auto t = audited("shortcut");
  ASSERT_EQ(t["shifts"].size(), 2u);
  const auto &cue = t["shifts"][0], &request = t["shifts"][1];
  ASSERT_EQ(cue["shift"], "ladder_cue:2");
  EXPECT_EQ(cue["n"], 36);
  EXPECT_NEAR(cue["k_drift"]["value"], planted / n, 1e-12);
  EXPECT_EQ(cue["same_k"]["value"], 0);
  // The need stays as it was.
  ASSERT_LT(planted_finite, -10);
  EXPECT_NEAR(cue["excess_drift"]["value"], planted_finite / finite, 1e-12);
  EXPECT_EQ(t["clean"]["classes"]["under"], under);
  EXPECT_EQ(cue["right_to_wrong"].get<int>() - cue["wrong_to_right"].get<int>(),
            under_shifted - under);
  EXPECT_EQ(request["k_drift"]["value"], 0);
  EXPECT_EQ(request["excess_drift"]["value"], 0);
  EXPECT_EQ(request["same_k"]["value"], 1);
  EXPECT_EQ(request["right_to_wrong"].get<int>() + request["wrong_to_right"].get<int>(), 0);
  EXPECT_THAT(t["findings"].dump(), HasSubstr("ladder_cue:2"));
  EXPECT_THAT(t["findings"].dump(), Not(HasSubstr("template:1")));

  // Who goes by the need follows it under both.
  const auto oracle = audited("oracle");
  for (const auto& d : oracle["shifts"]) {
    EXPECT_EQ(d["k_drift"]["value"], 0) << d["shift"];
    EXPECT_EQ(d["excess_drift"]["value"], 0) << d["shift"];
  }
}

TEST(AuditOfAPredictor, SaysWhichQuestionsItLearnedFromAndWhatItWasTrainedToSpend) {
  const support::TempFolder folder;
  setenv("MOEVAL_CACHE", (folder.path() / "cache").c_str(), 1);
  const std::string database = folder.path() / "a.db", file = folder.path() / "p.safetensors";
  const auto moeval = [&](std::vector<std::string> args) {
    args.insert(args.end(), {"--db", database});
    const auto r = program::run(folder.path(), args);
    EXPECT_EQ(r.code, 0) << r.err;
    return r.out;
  };
  const auto asked = [&](const std::string& command, const std::string& task,
                         std::vector<std::string> more) {
    std::vector<std::string> args{command,   "--model", "ladder",        "--tasks", task,
                                  "--limit", "12",      "--num-fewshot", "0"};
    args.insert(args.end(), more.begin(), more.end());
    moeval(args);
  };
  const std::vector<std::string> grid{"--grid", "1,4,8,12,16", "--ways", "1"};
  asked("sweep", "ladder_train", grid);
  moeval({"train", "--out", file, "--target-cost", "0.7"});
  asked("sweep", "ladder", grid);
  for (const std::string task : {"ladder_train", "ladder"}) {
    asked("run", task, {"--policy", "predictor:" + file});
    const auto j = json::parse(moeval({"audit", "--format", "json"}));
    const auto& t = j["tasks"][0];
    ASSERT_EQ(t["task"], task);
    EXPECT_EQ(j["seen_questions_not_checked"], false);
    EXPECT_EQ(j["target_flops_ratio"], 0.7);
    EXPECT_EQ(t["n_seen_in_training"], task == "ladder" ? 0 : 48);
    const auto flatters = HasSubstr("learned from 48 of these 48 questions");
    if (task == "ladder")
      EXPECT_THAT(t["findings"].dump(), Not(HasSubstr("learned from")));
    else
      EXPECT_THAT(t["findings"].dump(), flatters);
    EXPECT_THAT(moeval({"audit"}), HasSubstr("budget at training"));
  }
}

TEST_F(AuditRun, WhatCannotBeComparedIsRefusedInWords) {
  const auto refused = [&](const std::vector<std::string>& more, int code, const char* why) {
    std::vector<std::string> a{"audit", "--db", db()};
    a.insert(a.end(), more.begin(), more.end());
    const auto r = moeval(a);
    EXPECT_EQ(r.code, code) << r.err;
    EXPECT_THAT(r.err, HasSubstr(why));
  };
  refused({"--run", "latest"}, 2, "has several policies, want RUN@POLICY");
  auto other = run_args("mmlu", db(), {"--limit", "1"});
  ASSERT_EQ(moeval(other).code, 0);
  refused({"--run", "latest"}, 2, "no complete sweep of");
  refused({}, 2, "no complete sweep of");
  refused({"--run", "latest", "--sweep", "latest~1"}, 7, "weights");
  run("fixed:16");
  auto narrow = args("sweep", "ladder");
  narrow.insert(narrow.end(), {"--grid", "1,4", "--ways", "1"});
  ASSERT_EQ(moeval(narrow).code, 0);
  refused({"--run", "latest~1", "--sweep", "latest"}, 2, "ends at k = 4, the run used 16");
  // The sweep's own rows can be audited too.
  EXPECT_EQ(moeval({"audit", "--db", db(), "--run", "latest@fixed:4"}).code, 0);
}

}  // namespace
