#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace {

using engine::sample;
using engine::SamplerScratch;
using engine::Sampling;
using engine::TokenId;

// Frequencies of n draws of one seed.
std::vector<double> frequencies(const std::vector<float>& logits, Sampling sampling, int n) {
  SamplerScratch scratch;
  std::vector<double> f(logits.size());
  for (int i = 0; i < n; ++i) {
    const auto vocab = static_cast<int64_t>(logits.size());
    f[static_cast<size_t>(
        sample(logits.data(), vocab, sampling, static_cast<uint64_t>(i), scratch))] += 1.0 / n;
  }
  return f;
}

TEST(Sample, GreedyTakesTheLargestAndTheSmallestIdAmongTies) {
  SamplerScratch scratch;
  const std::vector<float> logits = {1, 3, -2, 3, 0};
  EXPECT_EQ(sample(logits.data(), 5, {}, 0, scratch), 1);
}

TEST(Sample, FollowsAPlantedDistribution) {
  const std::vector<double> p = {0.5, 0.25, 0.15, 0.1};
  for (const float temperature : {1.0f, 0.5f, 2.0f}) {
    for (const float top_p : {1.0f, 0.999999f}) {
      std::vector<float> logits;
      for (const double x : p) logits.push_back(static_cast<float>(std::log(x)));
      std::vector<double> expected;
      double sum = 0;
      for (const double x : p) sum += std::pow(x, 1 / temperature);
      for (const double x : p) expected.push_back(std::pow(x, 1 / temperature) / sum);
      const int n = 40000;
      const auto f = frequencies(logits, {temperature, top_p, 7}, n);
      for (size_t i = 0; i < p.size(); ++i) {
        const double sigma = std::sqrt(expected[i] * (1 - expected[i]) / n);
        EXPECT_NEAR(f[i], expected[i], 4 * sigma) << temperature << " " << top_p << " " << i;
      }
    }
  }
}

TEST(Sample, TopPKeepsTheFewestTokensThatReachTheMass) {
  std::vector<float> logits;
  for (const double x : {0.1, 0.4, 0.2, 0.3}) logits.push_back(static_cast<float>(std::log(x)));
  const auto f = frequencies(logits, {1.0f, 0.65f, 3}, 20000);  // 0.4 + 0.3 >= 0.65
  EXPECT_EQ(f[0], 0);
  EXPECT_EQ(f[2], 0);
  EXPECT_NEAR(f[1], 4.0 / 7, 0.015);
  EXPECT_NEAR(f[3], 3.0 / 7, 0.015);
  const auto one = frequencies(logits, {1.0f, 0.0f, 3}, 100);
  EXPECT_NEAR(one[1], 1.0, 1e-9);
}

TEST(UniformDraw, DependsOnSeedAndNumberAloneAndFillsTheInterval) {
  std::set<double> seen;
  double sum = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    for (uint64_t i = 0; i < 100; ++i) {
      const double u = engine::uniform_draw(seed, i);
      ASSERT_GE(u, 0.0);
      ASSERT_LT(u, 1.0);
      EXPECT_EQ(u, engine::uniform_draw(seed, i));
      seen.insert(u);
      sum += u;
    }
  }
  EXPECT_EQ(seen.size(), 10000u);
  EXPECT_NEAR(sum / 10000, 0.5, 4 * std::sqrt(1 / 12.0 / 10000));
  // Seeds one increment of the generator apart do not give one stream shifted by a draw.
  EXPECT_NE(engine::uniform_draw(1, 1), engine::uniform_draw(1 + 0x9e3779b97f4a7c15ull, 0));
}

}  // namespace
