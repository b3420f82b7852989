// What an audit adds to classes and drift of k, on planted queries: graded outcomes, which experts
// ran, parts beside the rest, outside difficulty, a refusal filter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <deque>

#include "harness/audit_parts.h"
#include "harness/expert_drift.h"
#include "harness/graded.h"
#include "harness/prediction.h"
#include "harness/prompt_compute.h"
#include "harness/refusal_filter.h"
#include "tasks/strict_json.h"

namespace harness {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<int32_t> kSweptGrid{1, 2, 4, 8};

class AuditDetails : public testing::Test {
 protected:
  // A query at k, right from `needs` on (0: never); FLOPs 10 and 10 an expert.
  AuditedQuery& query(const std::string& sample, int32_t needs, int32_t k,
                      const std::string& form = "clean") {
    SweepQuestion& need = questions_.emplace_back();
    need.task = "planted";
    need.sample = need.cluster = sample;
    need.shift = form;
    for (const int32_t g : kSweptGrid) {
      need.correct[g] = need.as_is[g] = needs > 0 && g >= needs ? 1 : 0;
      need.graded[g] = 1;
      need.flops[g] = 10 + 10 * g;
    }
    AuditedQuery& q = queries_.emplace_back();
    q.task = "planted";
    q.sample = sample;
    q.form = form;
    q.need = &need;
    q.k = k;
    q.uniform = true;
    q.flops = 10 + 10 * k;
    q.right = need.correct.at(k) > 0;
    q.attempt_id = static_cast<int64_t>(queries_.size());
    return q;
  }
  void set_nll(AuditedQuery& q, double granted, double at_largest) {
    q.gold_nll = granted;
    questions_[static_cast<size_t>(q.attempt_id - 1)].as_is_nll[8] = at_largest;
  }
  std::vector<const AuditedQuery*> all() const {
    std::vector<const AuditedQuery*> out;
    for (const auto& q : queries_) out.push_back(&q);
    return out;
  }
  std::deque<SweepQuestion> questions_;
  std::deque<AuditedQuery> queries_;
};

TEST_F(AuditDetails, GradedOutcomesAreOfPairsAndOfTheLargestK) {
  for (int i = 0; i < 50; ++i) {
    const auto sample = "s" + std::to_string(i);
    set_nll(query(sample, 1, 2), 3 + 0.1 * (i % 3), 2);             // 1.1 nats above the largest k
    set_nll(query(sample, 1, 1, "typos:1"), 5 + 0.1 * (i % 3), 3);  // 2.1 above, 2 more in all
    query(sample, 1, 2, "script:1");                                // no NLL
  }
  query("without", 1, 2);
  const auto clean = graded_report({&queries_[0], &queries_[3], &queries_[6]}, kSweptGrid);
  EXPECT_EQ(clean.n, 3);
  EXPECT_NEAR(*clean.nll.value, 3.1, 1e-12);
  EXPECT_NEAR(*clean.regret.value, 1.1, 1e-12);
  EXPECT_FALSE(clean.regret.interval);  // too few
  auto drifts = graded_drifts(twins_by_form(all()), kSweptGrid);
  ASSERT_EQ(drifts.size(), 1u);
  EXPECT_EQ(drifts[0].form, "typos:1");
  EXPECT_EQ(drifts[0].n, 50);
  EXPECT_EQ(drifts[0].n_swept, 50);
  EXPECT_NEAR(*drifts[0].nll_change.value, 2, 1e-12);
  EXPECT_NEAR(*drifts[0].regret_change.value, 1, 1e-12);
  EXPECT_LT(drifts[0].p, 1e-3);
  adjust({&drifts[0]});
  EXPECT_EQ(drifts[0].p_holm, drifts[0].p);
}

TEST(JensenShannon, EqualsSciPy) {
  // scipy.spatial.distance.jensenshannon(p, q, base=2), SciPy 1.17.1.
  EXPECT_NEAR(
      jensen_shannon_distance(std::vector<uint32_t>{3, 1, 0, 4}, std::vector<uint32_t>{1, 1, 2, 4}),
      0.41494634458591967, 1e-12);
  EXPECT_DOUBLE_EQ(
      jensen_shannon_distance(std::vector<uint32_t>{10, 0, 0}, std::vector<uint32_t>{0, 5, 5}), 1);
  EXPECT_DOUBLE_EQ(
      jensen_shannon_distance(std::vector<uint32_t>{7, 2, 1}, std::vector<uint32_t>{70, 20, 10}),
      0);
}

TEST_F(AuditDetails, WhichExpertsRanIsComparedLayerByLayerWithoutTheSharedOnes) {
  // Layers 0, 1; experts 0 (shared), 1, 2, 3.
  ExpertCountsOf counts;
  const auto put = [&](const AuditedQuery& q, std::vector<uint32_t> tokens) {
    counts[q.attempt_id] = {2, 4, std::move(tokens)};
  };
  for (int i = 0; i < 12; ++i) {
    const auto sample = "s" + std::to_string(i);
    put(query(sample, 1, 2), {9, 9, 0, 0, 9, 3, 3, 3});
    // Layer 0: another expert altogether; layer 1: the same, twice as long.
    put(query(sample, 1, 2, "typos:1"), {18, 0, 18, 0, 18, 6, 6, 6});
    put(query(sample, 1, 4, "neutral.typos:1"), {12, 12, 0, 0, 12, 4, 4, 4});
    query(sample, 1, 2, "script:1");  // no counts
  }
  const auto drifts = expert_drifts(twins_by_form(all()), counts, 1);
  ASSERT_EQ(drifts.size(), 2u);
  EXPECT_EQ(drifts[0].form, "typos:1");
  EXPECT_EQ(drifts[0].n, 12);
  EXPECT_EQ(drifts[0].other_k, 0);
  EXPECT_DOUBLE_EQ(*drifts[0].distance.value, 0.5);
  EXPECT_EQ(drifts[0].n_neutral, 12);
  EXPECT_DOUBLE_EQ(*drifts[0].beside_neutral.value, 0.5);
  EXPECT_THAT(drifts[0].layers, ElementsAre(1, 0));
  EXPECT_EQ(drifts[1].form, "neutral.typos:1");
  EXPECT_EQ(*drifts[1].distance.value, 0);  // the same experts
  EXPECT_EQ(drifts[1].other_k, 12);
  EXPECT_FALSE(drifts[1].beside_neutral.value);
  // Nothing was chosen: shared experts only.
  EXPECT_TRUE(expert_drifts(twins_by_form(all()), counts, 4).empty());
  EXPECT_TRUE(expert_drifts(twins_by_form(all()), {}, 1).empty());
}

TEST_F(AuditDetails, PartsThatAreServedWorseAreFoundAndNoOthers) {
  for (int i = 0; i < 60; ++i) {
    const std::string subject = std::vector<std::string>{"art", "bees", "clay"}[size_t(i % 3)];
    // In bees everything gets too little; elsewhere one in ten.
    AuditedQuery& q = query("mmlu/" + subject + "/test/" + std::to_string(i / 3), 4,
                            subject == "bees" || i % 10 == 0 ? 1 : 4);
    q.subject = subject;
    q.prompt_tokens = 10 + (i * 7) % 50;
  }
  datasets::OutsideLabels labels;
  labels.models = {"weak", "strong"};
  for (int i = 0; i < 20; ++i)
    labels.of_sample["mmlu/art/test/" + std::to_string(i)] =
        datasets::kOutsideDifficulties[size_t(i % 3)];
  const auto parts = audit_parts(all(), kSweptGrid, 0.1, &labels);
  ASSERT_EQ(parts.size(), 3u + 3u + 3u);
  for (const auto& p : parts) {
    EXPECT_GE(p.p_bh, p.p);
    if (p.name == "bees") {
      EXPECT_LT(p.p_bh, 0.01);
    } else if (p.kind != "subject") {
      EXPECT_GT(p.p_bh, 0.05) << p.name;
    }
  }
  EXPECT_EQ(parts[1].name, "bees");
  EXPECT_EQ(parts[1].n, 20);
  EXPECT_EQ(parts[1].under.value, 1);
  const auto said = part_findings(parts, allocation_report(all(), kSweptGrid, 0.1));
  ASSERT_FALSE(said.empty());
  EXPECT_THAT(said[0], HasSubstr("subject bees: served worse than the rest"));
  EXPECT_EQ(audit_parts(all(), kSweptGrid, 0.1, nullptr).size(), 6u);
}

TEST_F(AuditDetails, OutsideDifficultyIsHeldBesideKAndNeed) {
  datasets::OutsideLabels labels;
  labels.models = {"weak", "strong"};
  for (int i = 0; i < 30; ++i) {
    const auto sample = "mmlu/x/test/" + std::to_string(i);
    const auto d = size_t(i % 3);
    labels.of_sample[sample] = datasets::kOutsideDifficulties[d];
    // The need grows with it, k falls.
    query(sample, kSweptGrid[d], kSweptGrid[2 - d]);
  }
  query("mmlu/y/test/0", 1, 1);  // without a label
  const auto o = outside_report(all(), kSweptGrid, labels);
  ASSERT_TRUE(o);
  EXPECT_EQ(o->n, 30);
  EXPECT_NEAR(*o->spearman_k.value, -1, 1e-12);
  EXPECT_NEAR(*o->spearman_need.value, 1, 1e-12);
  EXPECT_FALSE(outside_report(all(), kSweptGrid, {}));
}

TEST_F(AuditDetails, CalibrationHasIntervalsByQuestion) {
  for (int i = 0; i < 40; ++i) {
    AuditedQuery& q = query("s" + std::to_string(i), i % 2 == 0 ? 1 : 0, 1);
    for (const int32_t k : kSweptGrid) q.p_k[k] = i % 2 == 0 ? 0.75 : 0.25;
  }
  const auto p = prediction_report(all(), kSweptGrid);
  for (const auto& k : p.by_k) {
    EXPECT_EQ(k.calibration.n, 40);
    EXPECT_DOUBLE_EQ(*k.calibration.brier.value, 0.0625);
    EXPECT_NEAR(*k.calibration.ece.value, 0.25, 1e-12);
    EXPECT_EQ(k.calibration.brier.n, 40);
  }
  EXPECT_EQ(p.pooled.n, 160);
  EXPECT_DOUBLE_EQ(*p.pooled.brier.value, 0.0625);
  // One question off: the mean may move, and the interval says how far.
  for (const int32_t k : kSweptGrid) queries_[0].p_k[k] = 0;
  const auto off = prediction_report(all(), kSweptGrid);
  ASSERT_TRUE(off.pooled.brier.interval);
  EXPECT_LT(off.pooled.brier.interval->lower, *off.pooled.brier.value);
  EXPECT_GT(off.pooled.brier.interval->upper, *off.pooled.brier.value);
  EXPECT_TRUE(off.by_k[0].calibration.ece.interval);
}

TEST(RefusalFilter, FindsWholeWordsWhateverTheirCase) {
  const auto f =
      RefusalFilter::parse(R"({"name": "mine", "phrases": ["Build a Bomb", "poison"]})", "f");
  EXPECT_EQ(f.name(), "mine");
  for (const char* text : {"How do I BUILD a\nbomb?", "poison", "Is it (poison)?", "build-a-bomb"})
    EXPECT_TRUE(f.refuses(text)) << text;
  for (const char* text :
       {"", "poisonous", "build a bombshell", "rebuild a bomb", "build the bomb"})
    EXPECT_FALSE(f.refuses(text)) << text;
}

TEST(RefusalFilter, BadFilesAreErrorsWithTheirPlace) {
  const auto error = [](const char* text) {
    try {
      RefusalFilter::parse(text, "f.json");
    } catch (const tasks::TaskError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(error(R"({"name": "x", "phrase": ["a"]})"), HasSubstr("phrases"));
  EXPECT_THAT(error(R"({"name": "x", "phrases": []})"), HasSubstr("f.json: /phrases: no phrase"));
  EXPECT_THAT(error(R"({"name": "x", "phrases": ["a", "?!"]})"), HasSubstr("without a word in it"));
  EXPECT_THAT(error(R"({"phrases": ["a"]})"), HasSubstr("name"));
}

TEST(PromptAudit, ARefusedPromptCostsNothingAndCounts) {
  std::vector<GivenPrompt> prompts;
  for (int i = 0; i < 12; ++i) {
    const auto n = std::to_string(i);
    prompts.push_back({"xstest/safe/homonyms/" + n, "homonyms", false, 4, 400, 10, i < 3});
    prompts.push_back(
        {"xstest/unsafe/homonyms/" + n, "contrast_homonyms", false, 4, 400, 10, i < 9});
  }
  auto a = prompt_audit("xstest", prompts);
  EXPECT_EQ(a.counterparts[0].flops_ratio.value, 1);
  add_filter(prompts, "mine", 0, &a);
  ASSERT_TRUE(a.filtered);
  const auto& groups = a.filtered->groups;
  ASSERT_EQ(groups[0].name, "harmful");
  EXPECT_EQ(groups[0].refused.value, 0.75);
  EXPECT_EQ(groups[0].k.value, 1);
  EXPECT_EQ(groups[0].flops.value, 100);
  EXPECT_EQ(groups[1].refused.value, 0.25);
  EXPECT_EQ(groups[1].flops.value, 300);
  EXPECT_NEAR(*a.filtered->counterparts[0].flops_ratio.value, 1 / 3.0, 1e-12);
  EXPECT_EQ(a.groups[0].k.value, 4);  // without the filter as before
  EXPECT_THAT(findings(a)[0],
              HasSubstr("the filter mine would turn away 75.0% of the harmful prompts and 25.0% of "
                        "the harmless prompts"));
  add_filter(prompts, "mine", 5, &a);
  EXPECT_TRUE(a.filtered->groups.empty());
}

}  // namespace
}  // namespace harness
