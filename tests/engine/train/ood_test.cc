// Scores of unlike queries against scikit-learn's, and what fallbacks make of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/policy/fallback.h"
#include "engine/policy/predictor_file.h"
#include "engine/policy/predictor_writer.h"
#include "engine/train/match_cost.h"
#include "engine/train/ood_score.h"
#include "engine/train/trainer.h"
#include "tests/engine/train/planted_examples.h"
#include "tests/support/temp_folder.h"

namespace {

using namespace engine;
using namespace engine::train;
using nlohmann::json;

json golden() {
  std::ifstream in(std::string(MOEVAL_SOURCE_DIR) + "/tests/engine/train/golden/ood.json");
  return json::parse(in);
}

std::vector<double> flat(const json& rows) {
  std::vector<double> out;
  for (const auto& row : rows)
    for (const auto& v : row) out.push_back(v);
  return out;
}

// A network without hidden layers whose features are taken as they are.
SuccessModel identity(int64_t d) {
  SuccessModel m;
  m.input.mean.assign(static_cast<size_t>(d), 0);
  m.input.scale.assign(static_cast<size_t>(d), 1);
  m.input.varies.assign(static_cast<size_t>(d), 1);
  Random random(1);
  m.net = Mlp(d, {}, 2, random);
  return m;
}

Examples examples_of(const json& rows) {
  Examples ex;
  ex.grid = {1, 2};
  ex.n = static_cast<int64_t>(rows.size());
  ex.n_features = static_cast<int64_t>(rows[0].size());
  for (const double v : flat(rows)) ex.features.push_back(static_cast<float>(v));
  return ex;
}

TEST(LedoitWolf, IsScikitLearns) {
  const json g = golden();
  const auto x = flat(g["rows"]);
  const auto n = static_cast<int64_t>(g["rows"].size()), d = static_cast<int64_t>(x.size()) / n;
  const auto got = ledoit_wolf(x, n, d);
  EXPECT_NEAR(got.shrinkage, g["shrinkage"].get<double>(), 1e-12);
  for (size_t i = 0; i < got.mean.size(); ++i) EXPECT_NEAR(got.mean[i], g["mean"][i], 1e-12);
  const auto want = flat(g["covariance"]);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got.covariance[i], want[i], 1e-12);
}

TEST(OodScore, IsScikitLearns) {
  const json g = golden();
  const auto ex = examples_of(g["rows"]), others = examples_of(g["others"]);
  const auto model = identity(ex.n_features);
  for (const auto detector : kOodDetectors) {
    const OodScore score(detector, ex, planted::all_rows(ex), model);
    for (int64_t r = 0; r < others.n; ++r) {
      const double want = g[ood_detector_name(detector)][static_cast<size_t>(r)];
      EXPECT_NEAR(score.of(model, others.feature_row(r)), want, 1e-5 * want) << r;
    }
  }
}

// A file keeps single precision: the distance by it is still scikit-learn's.
TEST(OodScore, IsScikitLearnsByAFileToo) {
  const support::TempFolder folder;
  const auto path = folder.path() / "p.safetensors";
  const json g = golden();
  const auto ex = examples_of(g["rows"]), others = examples_of(g["others"]);
  const auto d = ex.n_features;
  const auto wide = static_cast<size_t>(d);
  for (const auto detector : kOodDetectors) {
    // A hidden layer that passes on what is not negative.
    PredictorContent c;
    c.model_sha256 = std::string(64, 'a');
    for (int64_t i = 0; i < d; ++i) c.features.push_back(Feature::digits);
    c.grid = {1, 2};
    c.feature_mean.assign(wide, 0);
    c.feature_scale.assign(wide, 1);
    auto& layer = c.hidden.emplace_back();
    layer.n_out = layer.n_in = d;
    layer.weight.assign(wide * wide, 0);
    layer.bias.assign(wide, 0);
    for (size_t i = 0; i < wide; ++i) layer.weight[i * wide + i] = 1;
    c.p_k = PredictorContent::Linear{2, d, std::vector<float>(2 * wide), std::vector<float>(2)};
    c.plug_in = {0.1, {0.5, 1}};
    FallbackRule rule;
    rule.choice = {detector, Fallback::full};
    rule.units = d;
    rule.threshold = 1;
    rule.measure = OodScore(detector, ex, planted::all_rows(ex), identity(d)).measure();
    c.fallback = rule;
    write_predictor(path, c);
    PolicyContext context;
    context.moe.n_experts = 2;
    context.d_model = 1;
    context.weights_sha256 = c.model_sha256;
    context.sha256 = [](std::string_view) { return std::string("hash"); };
    const auto read = PredictorNetwork::load(path, context);
    int compared = 0;
    for (int64_t r = 0; r < others.n; ++r) {
      const auto x = others.feature_row(r);
      if (std::any_of(x.begin(), x.end(), [](float v) { return v < 0; })) continue;
      const double want = g[ood_detector_name(detector)][static_cast<size_t>(r)];
      EXPECT_NEAR(*read.infer(x).ood_score, want, 1e-4 * want) << r;
      ++compared;
    }
    EXPECT_GT(compared, 0);
  }
}

TEST(OodScore, AllRowsAlikeAreNoDistance) {
  auto ex = examples_of(json::parse("[[1, 0], [1, 0], [1, 0]]"));
  const auto model = identity(2);
  const OodScore far(OodDetector::mahalanobis, ex, planted::all_rows(ex), model);
  EXPECT_EQ(far.of(model, ex.feature_row(0)), 0);
  const std::vector<float> other{0, 1};
  EXPECT_EQ(far.of(model, other), 0);  // nothing to measure by
  const OodScore near(OodDetector::nearest, ex, planted::all_rows(ex), model);
  EXPECT_NEAR(near.of(model, other), std::sqrt(2.0), 1e-12);
}

TEST(OodScore, QueriesOfAnotherKindScoreHigher) {
  const auto ex = planted::examples(300, 1);
  Options o;
  o.epochs = 30;
  const auto rows = planted::all_rows(ex);
  const auto model = fit_success(ex, rows, o);
  const auto same = planted::examples(100, 2);
  for (const auto detector : kOodDetectors) {
    const OodScore score(detector, ex, rows, model);
    double usual = 0, unlike = 0;
    for (int64_t r = 0; r < same.n; ++r) {
      usual += score.of(model, same.feature_row(r));
      std::vector<float> x(same.feature_row(r).begin(), same.feature_row(r).end());
      x[5] += 20;  // noise that was never so large
      unlike += score.of(model, x);
    }
    EXPECT_GT(unlike, 1.5 * usual) << ood_detector_name(detector);
  }
}

class Fallbacks : public testing::Test {
 protected:
  const std::vector<double> prior_{0.9, 0.92, 0.95}, cost_{0.3, 0.6, 1};
  Prospect prospect(double score) const { return {{0.1, 0.2, 0.9}, prior_, cost_, 1, score, 2}; }
};

TEST_F(Fallbacks, QueriesBelowTheThresholdAreDecidedAsEver) {
  for (const Fallback f : kFallbacks)
    EXPECT_EQ(decide(f, prospect(2), 0.5), 2u) << fallback_name(f);
}

TEST_F(Fallbacks, FlaggedQueriesAreDecidedByTheFallback) {
  const auto far = prospect(1000);
  EXPECT_EQ(decide(Fallback::none, far, 0.5), 2u);
  EXPECT_EQ(decide(Fallback::full, far, 100), 2u);
  EXPECT_EQ(decide(Fallback::fixed, far, 0.5), 1u);
  EXPECT_EQ(decide(Fallback::cap, far, 0.5), 1u);
  EXPECT_EQ(decide(Fallback::cap, far, 100), 0u);
  EXPECT_EQ(decide(Fallback::shrink, far, 0.5), 0u);            // nearly the prior alone
  EXPECT_EQ(decide(Fallback::shrink, prospect(2.1), 0.5), 2u);  // nearly as predicted
}

TEST(MatchCost, FindsThePriceThatSpendsTheTarget) {
  const auto spend = [](double lambda) { return 1 / (1 + lambda); };
  const auto found = match_cost(0.25, spend);
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->lambda, 3, 1e-9);
  EXPECT_NEAR(found->cost, 0.25, 1e-9);
  EXPECT_FALSE(match_cost(1e-4, spend));  // dearer even at the largest
  const auto cheap = match_cost(5, spend);
  ASSERT_TRUE(cheap);
  EXPECT_LT(cheap->lambda, 1e-5);
}

}  // namespace
