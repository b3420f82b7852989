// Training against scikit-learn and SciPy, on planted needs and on nothing to learn.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/train/comparators.h"
#include "engine/train/outcome.h"
#include "tests/engine/train/planted_examples.h"

namespace {

using namespace engine::train;
using nlohmann::json;
using planted::all_rows;

json golden() {
  std::ifstream in(std::string(MOEVAL_SOURCE_DIR) + "/tests/engine/train/golden/expected.json");
  return json::parse(in);
}

Examples golden_examples(const json& g) {
  Examples ex;
  ex.grid = g["grid"].get<std::vector<int32_t>>();
  for (const auto& row : g["features"]) {
    ex.n_features = static_cast<int64_t>(row.size());
    for (const auto& v : row) ex.features.push_back(v.get<float>());
    ex.cluster.push_back(ex.n++);
    ex.full_flops.push_back(1e6);
  }
  for (const auto& row : g["success"])
    for (const auto& v : row) ex.success.push_back(v);
  for (const auto& row : g["cost"])
    for (const auto& v : row) ex.cost.push_back(v);
  return ex;
}

// No hidden layer, no decay, every row in every step: a convex problem, to its optimum.
Options plain(Head head) {
  Options o;
  o.head = head;
  o.hidden = {};
  o.decay = 0;
  o.held_out = 0;
  o.batch = 1000;
  o.rate = 0.02;
  o.epochs = o.patience = 4000;
  return o;
}

TEST(TrainingGolden, WithoutHiddenLayersItIsLogisticRegression) {
  const auto g = golden();
  const auto ex = golden_examples(g);
  const auto m = fit_success(ex, all_rows(ex), plain(Head::free));
  for (int64_t r = 0; r < ex.n; ++r) {
    const auto p = m.p(ex.feature_row(r));
    for (size_t k = 0; k < p.size(); ++k)
      EXPECT_NEAR(p[k], g["free"][static_cast<size_t>(r)][k].get<double>(), 1e-4) << r << " " << k;
  }
}

TEST(TrainingGolden, TheOrdinalHeadComesToSciPysOptimum) {
  const auto g = golden();
  const auto ex = golden_examples(g);
  const auto m = fit_success(ex, all_rows(ex), plain(Head::ordinal));
  EXPECT_NEAR(m.held_out_loss, g["ordinal_loss"].get<double>(), 1e-6);
  for (int64_t r = 0; r < ex.n; ++r) {
    const auto p = m.p(ex.feature_row(r));
    for (size_t k = 0; k < p.size(); ++k)
      EXPECT_NEAR(p[k], g["ordinal"][static_cast<size_t>(r)][k].get<double>(), 2e-3)
          << r << " " << k;
  }
}

TEST(TrainingGolden, NeighboursAreScikitLearns) {
  const auto g = golden();
  const auto ex = golden_examples(g);
  const auto n_train = g["nearest"]["n_train"].get<int64_t>();
  Fold fold;
  for (int64_t r = 0; r < ex.n; ++r) (r < n_train ? fold.train : fold.test).push_back(r);
  const auto shares =
      nearest_neighbours(ex, std::vector<Fold>{fold}, g["nearest"]["lambda"].get<double>());
  std::set<size_t> seen;
  for (size_t i = 0; i < fold.test.size(); ++i) {
    const auto want = g["nearest"]["choices"][i].get<size_t>();
    EXPECT_EQ(shares[ex.at(fold.test[i], static_cast<int64_t>(want))], 1) << i;
    seen.insert(want);
  }
  EXPECT_GT(seen.size(), 1u);
}

TEST(TrainingGolden, HullAndRankCorrelationAreSciPys) {
  const auto g = golden();
  std::vector<double> cost, accuracy;
  for (const auto& p : g["hull"]["points"]) {
    cost.push_back(p[0]);
    accuracy.push_back(p[1]);
  }
  const StaticHull hull(cost, accuracy);
  for (size_t i = 0; i < g["hull"]["at"].size(); ++i)
    EXPECT_NEAR(hull.accuracy_at(g["hull"]["at"][i].get<double>()),
                g["hull"]["accuracy"][i].get<double>(), 1e-12);
  const auto a = g["spearman"]["a"].get<std::vector<double>>();
  const auto b = g["spearman"]["b"].get<std::vector<double>>();
  EXPECT_NEAR(spearman(a, b), g["spearman"]["rho"].get<double>(), 1e-12);
  EXPECT_TRUE(std::isnan(spearman(a, std::vector<double>(a.size(), 2))));
}

Options quick(double lambda) {
  Options o;
  o.hidden = {16};
  o.lambda = lambda;
  o.epochs = 80;
  o.seed = 3;
  return o;
}

Outcome outcome(const Examples& ex, const std::vector<size_t>& choices, double lambda) {
  return outcome_of(ex, shares_of(ex, choices), 0, lambda, 0);
}

TEST(PlantedNeeds, EveryObjectiveFindsThem) {
  const auto ex = planted::examples(400, 1);
  const auto folds = make_folds(ex, 4, 1);
  const double best = outcome_of(ex, oracle(ex, 0.2, 0), 0, 0.2, 0).gain;
  ASSERT_GT(best, 0.1);
  for (const auto& [objective, least] : {std::pair{Objective::success, 0.95},
                                         {Objective::policy, 0.95},
                                         {Objective::reinforce, 0.8}}) {
    const auto fit = cross_fit(ex, folds, objective, quick(0.2), 2);
    const auto o = outcome(ex, fit.decide(ex, 0.2), 0.2);
    EXPECT_GT(o.gain, least * best) << static_cast<int>(objective);
    EXPECT_LT(o.regret, 0.03) << static_cast<int>(objective);
  }
}

TEST(PlantedNeeds, NothingIsGainedFromShuffledOnes) {
  const auto ex = planted::shuffled(planted::examples(400, 1), 9);
  const auto folds = make_folds(ex, 4, 1);
  const double best = outcome_of(ex, oracle(ex, 0.2, 0), 0, 0.2, 0).gain;
  for (const auto objective : {Objective::success, Objective::policy}) {
    const auto fit = cross_fit(ex, folds, objective, quick(0.2), 2);
    const auto o = outcome(ex, fit.decide(ex, 0.2), 0.2);
    EXPECT_LT(o.gain, 0.1 * best);
    EXPECT_LT(o.gain_interval.lower, 0.01);
  }
}

TEST(PlantedNeeds, AFamilyFollowsLambdaAndComesToAWantedCost) {
  const auto ex = planted::examples(400, 2);
  auto o = quick(0);
  const LambdaRange range{0.01, 3};
  o.family = range;
  const auto fit = cross_fit(ex, make_folds(ex, 4, 1), Objective::policy, o, 2);
  double last = 2;
  for (const double lambda : {0.05, 0.5, 2.0, 3.0}) {
    const auto here = outcome(ex, fit.decide(ex, lambda), lambda);
    EXPECT_LE(here.cost, last) << lambda;
    EXPECT_LT(here.regret, 0.05) << lambda;
    last = here.cost;
  }
  const auto whole = outcome(ex, fit.decide(ex, 0.05), 0.05);
  EXPECT_LT(last, 0.7 * whole.cost);
  const double target = (last + whole.cost) / 2;
  const auto found = lambda_for_cost(ex, fit, target, range);
  ASSERT_TRUE(found);
  EXPECT_LE(outcome(ex, fit.decide(ex, *found), *found).cost, target);
  EXPECT_GT(outcome(ex, fit.decide(ex, *found * 0.98), *found).cost, target);
  EXPECT_FALSE(lambda_for_cost(ex, fit, 0.2, range));  // less than k = 1 costs
}

TEST(PlantedNeeds, LatenessHasItsPrice) {
  auto ex = planted::examples(200, 3);
  for (int64_t r = 0; r < ex.n; ++r)
    for (int64_t k = 0; k < 4; ++k) ex.lateness.push_back(k == 3 ? 2 : 0);  // k = 16 comes late
  auto o = quick(0.1);
  o.mu = 1;
  const auto m = fit_policy(ex, all_rows(ex), o);
  for (int64_t r = 0; r < ex.n; ++r) EXPECT_NE(argmax(m.logits(ex.feature_row(r), 0.1)), 3u);
  o.mu = 0;
  const auto free = fit_policy(ex, all_rows(ex), o);
  int late = 0;
  for (int64_t r = 0; r < ex.n; ++r) late += argmax(free.logits(ex.feature_row(r), 0.1)) == 3;
  EXPECT_GT(late, 20);
}

TEST(CrossFit, NoClusterIsOnBothSides) {
  const auto ex = planted::examples(202, 4);
  const auto folds = make_folds(ex, 5, 7);
  std::set<int64_t> tested;
  for (const auto& f : folds) {
    std::set<int64_t> train, test;
    for (const int64_t r : f.train) train.insert(ex.cluster[static_cast<size_t>(r)]);
    for (const int64_t r : f.test) {
      test.insert(ex.cluster[static_cast<size_t>(r)]);
      EXPECT_TRUE(tested.insert(r).second);
    }
    for (const int64_t c : test) EXPECT_FALSE(train.contains(c));
    EXPECT_EQ(f.train.size() + f.test.size(), 202u);
    EXPECT_GE(test.size(), 20u);
    EXPECT_LE(test.size(), 21u);
  }
  EXPECT_EQ(tested.size(), 202u);
}

TEST(CrossFit, ThreadsChangeNoBitAndSeedsDo) {
  const auto ex = planted::examples(120, 5);
  const auto folds = make_folds(ex, 3, 1);
  for (const auto objective : {Objective::policy, Objective::reinforce}) {
    auto o = quick(0.2);
    o.epochs = 10;
    const auto one = cross_fit(ex, folds, objective, o, 1);
    const auto three = cross_fit(ex, folds, objective, o, 3);
    EXPECT_EQ(one.p, three.p);
    for (size_t f = 0; f < 3; ++f)
      EXPECT_EQ(one.fitted[f].policy->net.parameters(), three.fitted[f].policy->net.parameters());
    o.seed = 4;
    EXPECT_NE(one.p, cross_fit(ex, folds, objective, o, 1).p);
  }
}

TEST(Outcomes, OfKnownPolicies) {
  const auto ex = planted::examples(300, 6);
  const auto best = outcome_of(ex, oracle(ex, 0.3, 0), 0, 0.3, 0);
  EXPECT_EQ(best.regret, 0);
  EXPECT_GT(best.gain, 0.1);
  EXPECT_EQ(best.n, 300);
  EXPECT_EQ(best.clusters, 150);
  for (size_t k = 0; k < 4; ++k) {
    const auto o = outcome(ex, std::vector<size_t>(300, k), 0.3);
    EXPECT_NEAR(o.cost, 0.25 + 0.25 * static_cast<double>(k), 1e-12);
    EXPECT_EQ(o.mean_k, ex.grid[k]);
    EXPECT_LE(o.gain, 1e-12);
    EXPECT_LE(o.accuracy_interval.lower, o.accuracy);
    EXPECT_GE(o.accuracy_interval.upper, o.accuracy);
  }
  const auto random = outcome_of(ex, matched_random(ex, oracle(ex, 0.3, 0)), 0, 0.3, 0);
  EXPECT_NEAR(random.cost, best.cost, 1e-12);
  EXPECT_NEAR(random.mean_k, best.mean_k, 1e-12);
  EXPECT_LE(random.gain, 1e-12);
  EXPECT_GT(random.regret, 0.1);
  // What a decision costs is charged.
  const auto charged = outcome_of(ex, oracle(ex, 0.3, 0), 150000, 0.3, 0);
  EXPECT_GT(charged.cost, best.cost + 0.05);
  EXPECT_NEAR(charged.regret, 0.3 * (charged.cost - best.cost), 1e-12);
  EXPECT_LT(charged.gain, best.gain);
  const auto d = reward_difference(ex, oracle(ex, 0.3, 0), 0,
                                   matched_random(ex, oracle(ex, 0.3, 0)), 0, 0.3, 0);
  EXPECT_NEAR(d.mean, random.regret, 1e-12);
  EXPECT_GT(d.interval.lower, 0);
}

TEST(Outcomes, TheBestStaticIsThatOfTheTrainingRows) {
  const auto ex = planted::examples(300, 7);
  const auto folds = make_folds(ex, 3, 1);
  // Free compute: everything; at a price beyond any accuracy: the least.
  EXPECT_EQ(outcome_of(ex, best_static(ex, folds, 0, 0), 0, 0, 0).mean_k, 16);
  EXPECT_EQ(outcome_of(ex, best_static(ex, folds, 10, 0), 0, 10, 0).mean_k, 1);
  EXPECT_EQ(choice_entropy(best_static(ex, folds, 0, 0), 4), 0);
  EXPECT_GT(choice_entropy(oracle(ex, 0.1, 0), 4), 1);
}

}  // namespace
