// A fallback as a user gets it: trained with a sweep, applied by a run, judged by an audit.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "harness/fallback_effect.h"
#include "tests/harness/policy_run_fixture.h"
#include "tests/support/sanitized.h"

namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

class FallbackRun : public PolicyRunTest {
 protected:
  void SetUp() override {
    PolicyRunTest::SetUp();
    expect_ok({"sweep", "--model", "ladder", "--tasks", "ladder_train", "--grid", "1,4,8,16",
               "--limit", "20", "--num-fewshot", "0", "--ways", "1", "--shift", "template:1",
               "--db", db()});
  }
  program::Result expect_ok(const std::vector<std::string>& args) const {
    auto r = moeval(args);
    EXPECT_EQ(r.code, 0) << r.err;
    return r;
  }
  program::Result train(std::vector<std::string> more) const {
    std::vector<std::string> args = {"train", "--db", db(), "--out", file(), "--format", "json"};
    args.insert(args.end(), more.begin(), more.end());
    return moeval(args);
  }
  std::string file() const { return folder_.path() / "p.safetensors"; }
  std::string number(const std::string& sql) const {
    auto text = stored::rows(db(), sql);
    if (!text.empty()) text.pop_back();
    return text;
  }
};

TEST_F(FallbackRun, RunsStoreWhatItDidAndAuditsSayWhatItWasWorth) {
  std::vector<std::string> rules = {"mahalanobis:full", "mahalanobis:fixed"};
  if (test_support::kSanitized) rules.erase(rules.begin());
  for (const std::string& rule : rules) {
    SCOPED_TRACE(rule);
    const auto r = train({"--fallback", rule, "--lambda", "0.5"});
    ASSERT_EQ(r.code, 0) << r.err;
    const json j = json::parse(r.out);
    EXPECT_EQ(j["fallback"]["rule"], rule);
    EXPECT_EQ(j["fallback"]["questions"], 80);
    const double flagged = j["fallback"]["flagged"].get<double>() / 80;
    EXPECT_GT(flagged, 0);
    EXPECT_LT(flagged, 0.15);  // meant: 5%
    EXPECT_EQ(j["policies"][1]["policy"], "with_fallback");
    EXPECT_GT(j["policies"][1]["own_flops"], j["policies"][0]["own_flops"]);

    // By itself and beside others: the same, whatever else is asked.
    const std::vector<std::string> run = {"run",
                                          "--model",
                                          "ladder",
                                          "--tasks",
                                          "ladder_train",
                                          "--limit",
                                          "20",
                                          "--num-fewshot",
                                          "0",
                                          "--shift",
                                          "template:1",
                                          "--policy",
                                          "predictor:" + file(),
                                          "--db"};
    auto first = run, second = run;
    first.push_back(db());
    const auto single = db("single.db");
    second.insert(second.end(), {single, "--scenario", "single"});
    expect_ok(first);
    expect_ok(second);
    const std::string mine =
        "FROM attempt a JOIN policy p USING(policy_id) JOIN query q USING(query_id) JOIN shift h "
        "USING(shift_id) JOIN sample s USING(sample_id) WHERE p.kind = 'predictor' AND a.run_id = "
        "(SELECT MAX(run_id) FROM run)";
    const std::string decisions =
        "SELECT s.source_key, h.name, a.k_requested, a.ood_score, a.ood_flagged, "
        "a.k_without_fallback " +
        mine + " ORDER BY 1, 2";
    EXPECT_EQ(stored::rows(db(), decisions), stored::rows(single, decisions));
    std::filesystem::remove(single);
    EXPECT_EQ(number("SELECT COUNT(*) " + mine + " AND ood_score >= 0 AND k_without_fallback > 0"),
              "160");
    // A request that the predictor never saw is flagged more often than the questions as they are.
    const auto n = [&](const std::string& what) {
      return std::stoi(number("SELECT COUNT(*) " + mine + " AND " + what));
    };
    EXPECT_GT(n("ood_flagged = 1 AND h.name = 'template'"), 2 * n("ood_flagged = 1 AND h.name = "
                                                                  "'clean'"));
    EXPECT_EQ(n("ood_flagged = 0 AND k_requested <> k_without_fallback"), 0);
    if (rule == "mahalanobis:full") {
      EXPECT_EQ(n("ood_flagged = 1 AND k_requested <> 16"), 0);
    } else {
      EXPECT_EQ(number("SELECT COUNT(DISTINCT k_requested) " + mine + " AND ood_flagged = 1"), "1");
    }
    // Its FLOPs are the query's.
    EXPECT_EQ(number("SELECT DISTINCT useful_predictor_flops " + mine),
              std::to_string(j["policies"][1]["own_flops"].get<int64_t>()));

    const json audit = json::parse(expect_ok({"audit", "--db", db(), "--format", "json"}).out);
    const json& effects = audit["tasks"][0]["fallback"];
    ASSERT_EQ(effects.size(), 2u);
    EXPECT_EQ(effects[0]["shift"], "clean");
    EXPECT_EQ(effects[1]["shift"], "template:1");
    for (const auto& e : effects) {
      EXPECT_EQ(e["n"], 80);
      const std::string form = e["shift"] == "clean" ? "clean" : "template";
      EXPECT_EQ(e["flagged"], n("ood_flagged = 1 AND h.name = '" + form + "'"));
      EXPECT_EQ(e["compared"], e["flagged"]);
      if (e["compared"] == 0) continue;
      EXPECT_NEAR(e["lambda_regret_saved"]["value"],
                  e["lambda_regret_without"]["value"].get<double>() -
                      e["lambda_regret"]["value"].get<double>(),
                  1e-12);
      EXPECT_NEAR(e["mean_k_without"]["value"],
                  std::stod(number("SELECT AVG(k_without_fallback) " + mine +
                                   " AND ood_flagged = 1 AND h.name = '" + form + "'")),
                  1e-3);
      if (rule == "mahalanobis:full") {
        EXPECT_EQ(e["mean_k"]["value"], 16);
      }
    }
    EXPECT_THAT(expect_ok({"audit", "--db", db()}).out,
                HasSubstr("Questions that the policy's fallback decided"));
  }
  // predict shows the same.
  const auto data = expect_ok({"predict", "--predictor", file(), "--model", "ladder", "--file",
                               write("q.txt", "What is this about\n"), "--format", "json"});
  const json p = json::parse(data.out)[0];
  EXPECT_TRUE(p["ood_score"].is_number());
  EXPECT_TRUE(p["ood_flagged"].is_boolean());
  EXPECT_TRUE(p["k_without_fallback"].is_number());
  EXPECT_THAT(expect_ok({"predict", "--predictor", file(), "--model", "ladder", "--file",
                         write("q.txt", "What is this about\n")})
                  .out,
              AllOf(HasSubstr("k without fallback"), HasSubstr("mahalanobis:fixed")));
}

TEST_F(FallbackRun, WhatIsWrongIsSaidInWords) {
  const auto refused = [&](const std::vector<std::string>& more) {
    const auto r = train(more);
    EXPECT_EQ(r.code, 2) << r.err;
    return r.err;
  };
  EXPECT_THAT(refused({"--fallback", "nose:full"}), HasSubstr("want mahalanobis or nearest"));
  EXPECT_THAT(refused({"--fallback", "nearest:none"}), HasSubstr("full, fixed, shrink or cap"));
  EXPECT_THAT(refused({"--fallback", "nearest"}), HasSubstr("a colon"));
  EXPECT_THAT(refused({"--fallback", "nearest:shrink"}), HasSubstr("--objective success"));
  EXPECT_THAT(refused({"--fallback", "nearest:cap", "--hidden", "0"}), HasSubstr("--hidden is 0"));
}

// By hand: two flagged questions of two items, and one that is not.
TEST(FallbackEffect, IsTheSweepsAnswersWithAndWithout) {
  harness::SweepQuestion easy, hard;
  for (auto* q : {&easy, &hard}) {
    q->flops = {{1, 25}, {4, 50}, {16, 100}};
    q->graded = {{1, 4}, {4, 4}, {16, 4}};
  }
  easy.correct = {{1, 1}, {4, 1}, {16, 1}};
  hard.correct = {{1, 0}, {4, 0.5}, {16, 1}};
  const auto asked = [](const harness::SweepQuestion& need, std::string sample, double k,
                        double without, bool flagged) {
    harness::AuditedQuery q;
    q.sample = std::move(sample);
    q.need = &need;
    q.k = k;
    q.uniform = true;
    q.ood_score = 1;
    q.ood_flagged = flagged;
    q.k_without_fallback = without;
    return q;
  };
  const auto a = asked(easy, "a", 16, 1, true), b = asked(hard, "b", 16, 4, true),
             c = asked(hard, "c", 4, 4, false);
  auto capped = asked(hard, "d", 4, 16, true);  // the cap holds without the fallback too
  capped.capped = true;
  capped.form = "typos:1";
  const auto e = harness::fallback_effects({&capped, &a, &b, &c}, {1, 4, 16}, 0.4);
  ASSERT_EQ(e.size(), 2u);
  EXPECT_EQ(e[0].form, "clean");
  EXPECT_EQ(e[0].n, 3);
  EXPECT_EQ(e[0].flagged, 2);
  EXPECT_EQ(e[0].compared, 2);
  EXPECT_DOUBLE_EQ(*e[0].k.value, 16);
  EXPECT_DOUBLE_EQ(*e[0].k_without.value, 2.5);
  EXPECT_DOUBLE_EQ(*e[0].accuracy.value, 1);
  EXPECT_DOUBLE_EQ(*e[0].accuracy_without.value, 0.75);
  // Best: 1 - 0.1 and 1 - 0.4. With: 0.6 twice. Without: 0.9 and 0.5 - 0.2.
  EXPECT_NEAR(*e[0].regret.value, 0.15, 1e-12);
  EXPECT_NEAR(*e[0].regret_without.value, 0.15, 1e-12);
  EXPECT_NEAR(*e[0].regret_saved.value, 0, 1e-12);
  EXPECT_EQ(e[1].compared, 1);
  EXPECT_DOUBLE_EQ(*e[1].k_without.value, 4);
}

}  // namespace
