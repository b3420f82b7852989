// Routers that learn from drawn experts: the draws against the Plackett-Luce formula, the gradient
// against finite differences, learning where what is best is known, and the model it is written to.
#include "engine/train/router_learner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include "engine/engine.h"
#include "engine/model_file/router_writer.h"
#include "engine/model_file_error.h"
#include "tests/support/tiny_checkpoint.h"

namespace {

using engine::RouterExploration;
using engine::train::draw_gradient;
using engine::train::RouterLearner;

// log P of drawing `order` without replacement.
double log_probability(const std::vector<float>& scores, const std::vector<int16_t>& order,
                       double temperature) {
  std::vector<bool> gone(scores.size());
  double out = 0;
  for (const int16_t o : order) {
    double left = 0;
    for (size_t e = 0; e < scores.size(); ++e)
      if (!gone[e]) left += std::exp(static_cast<double>(scores[e]) / temperature);
    out += static_cast<double>(scores[static_cast<size_t>(o)]) / temperature - std::log(left);
    gone[static_cast<size_t>(o)] = true;
  }
  return out;
}

TEST(RouterDraws, GradientIsTheSlopeOfTheLogProbability) {
  const std::vector<float> scores = {0.5f, -1.0f, 0.25f, 2.0f, -0.5f};
  const std::vector<int16_t> order = {2, 3, 0};
  for (const double t : {1.0, 0.5}) {
    const auto g = draw_gradient(scores, order, t);
    double sum = 0;
    for (size_t e = 0; e < scores.size(); ++e) {
      constexpr float kStep = 0x1p-8f;
      auto up = scores, down = scores;
      up[e] += kStep;
      down[e] -= kStep;
      const double slope = (log_probability(up, order, t) - log_probability(down, order, t)) /
                           (2 * static_cast<double>(kStep) / t);
      EXPECT_NEAR(g[e], slope, 1e-4) << e;
      sum += g[e];
    }
    EXPECT_NEAR(sum, 0, 1e-12);
  }
}

TEST(RouterDraws, ComeAsOftenAsTheFormulaSays) {
  const std::vector<float> scores = {0.3f, 0.0f, -0.4f, 0.6f}, x = {1.0f};
  RouterExploration routers(1, 4, 1, 0.7);
  const std::vector<int32_t> k = {2};
  std::map<std::vector<int16_t>, int> seen;
  constexpr int kDraws = 40000;
  for (int i = 0; i < kDraws; ++i) {
    routers.begin_drawing(static_cast<uint64_t>(i));
    const float* noisy = routers.draw(0, x.data(), 1, scores.data(), k);
    ASSERT_EQ(routers.choices().size(), 1u);
    const auto& order = routers.choices()[0].order;
    ASSERT_GE(noisy[order[0]], noisy[order[1]]);
    ++seen[order];
  }
  ASSERT_EQ(seen.size(), 12u);
  for (const auto& [order, n] : seen) {
    const double p = std::exp(log_probability(scores, order, 0.7));
    EXPECT_NEAR(n / double{kDraws}, p, 5 * std::sqrt(p * (1 - p) / kDraws)) << order[0] << order[1];
  }
}

TEST(RouterDraws, AreOfTheSeedAndLeaveNothingToDrawAtEveryExpert) {
  const std::vector<float> scores(8, 0.0f), x = {1.0f, 2.0f};
  RouterExploration routers(1, 4, 1);
  const auto order = [&](uint64_t seed) {
    routers.begin_drawing(seed);
    const std::vector<int32_t> k = {3, 4};
    routers.draw(0, x.data(), 2, scores.data(), k);
    EXPECT_EQ(routers.choices().size(), 1u) << "the row of k = 4 has no choice";
    return routers.choices()[0].order;
  };
  EXPECT_EQ(order(5), order(5));
  bool differs = false;
  for (uint64_t seed = 0; seed < 8; ++seed) differs |= order(seed) != order(5);
  EXPECT_TRUE(differs);
}

// Input 0 says that expert 2 is needed, input 1 that expert 0 is; a third is always on.
TEST(RouterLearner, LearnsWhichExpertAnInputNeeds) {
  RouterExploration routers(1, 3, 3, 0.1);
  RouterLearner learner(routers, 1, 3, 3, 1);
  const std::vector<int32_t> k = {1};
  for (uint64_t i = 0; i < 3000; ++i) {
    const bool first = i % 2 == 0;
    const std::vector<float> x = {first ? 1.0f : 0.0f, first ? 0.0f : 1.0f, 9.0f};
    std::vector<float> scores(3);
    routers.add_learned(0, x.data(), 1, scores.data());
    routers.begin_drawing(i);
    routers.draw(0, x.data(), 1, scores.data(), k);
    const bool right = routers.choices()[0].order[0] == (first ? 2 : 0);
    learner.add(routers.choices(), (right ? 1.0 : 0.0) - 0.5);
    if (i % 10 == 9) learner.step();
  }
  for (const bool first : {true, false}) {
    const std::vector<float> x = {first ? 1.0f : 0.0f, first ? 0.0f : 1.0f, 9.0f};
    std::vector<float> scores(3);
    routers.add_learned(0, x.data(), 1, scores.data());
    EXPECT_EQ(std::max_element(scores.begin(), scores.end()) - scores.begin(), first ? 2 : 0);
  }
}

TEST(RouterExploration, WhatWasLearnedIsAddedToTheRouterAndDrawsOnlyChangeTheChoice) {
  const test_support::TinyCheckpoint tiny(test_support::tiny_moe_config());
  const auto engine = engine::Engine::load(tiny, {});
  const auto& config = engine->config();
  const std::vector<engine::TokenId> tokens = {1, 2, 3, 4, 5};
  engine::ExpertBudget budget;
  budget.k = 3;
  const auto plain = engine->logits(tokens, budget);
  RouterExploration routers(config.n_layers, config.moe.n_routed(), config.d_model);
  engine->explore_routers(&routers);
  EXPECT_EQ(engine->logits(tokens, budget), plain);
  EXPECT_TRUE(routers.choices().empty());

  routers.begin_drawing(3);
  const auto drawn = engine->logits(tokens, budget);
  EXPECT_NE(drawn, plain);
  ASSERT_EQ(routers.choices().size(), tokens.size() * static_cast<size_t>(config.n_layers));
  EXPECT_EQ(routers.choices()[0].order.size(), 3u);
  routers.begin_drawing(3);
  EXPECT_EQ(engine->logits(tokens, budget), drawn);
  // With every expert there is no choice left, and the weights are those without noise.
  budget.k = config.moe.max_k();
  routers.begin_drawing(3);
  const auto all = engine->logits(tokens, budget);
  EXPECT_TRUE(routers.choices().empty());
  engine->explore_routers(nullptr);
  EXPECT_EQ(engine->logits(tokens, budget), all);

  budget.k = 3;
  routers.end_drawing();
  for (int64_t i = 0; i < config.d_model; ++i) {  // one of two experts comes first now
    routers.learned(0)[static_cast<size_t>(i)] = 3;
    routers.learned(0)[static_cast<size_t>(config.d_model + i)] = -3;
  }
  engine->explore_routers(&routers);
  EXPECT_NE(engine->logits(tokens, budget), plain);
}

TEST(RouterWriter, RefusesWhatIsNoFolder) {
  const test_support::TinyCheckpoint tiny(test_support::tiny_moe_config());
  const RouterExploration routers(1, 1, 1);
  EXPECT_THROW(engine::write_with_routers(tiny, routers, "/nowhere"), engine::ModelFileError);
}

}  // namespace
