#include "tasks/percentile.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "tests/tasks/golden.h"

namespace tasks {
namespace {

using nlohmann::json;

TEST(NearestRank, IsTheCeilingOfPTimesN) {
  EXPECT_EQ(nearest_rank(100, 0.99), 99);
  EXPECT_EQ(nearest_rank(101, 0.99), 100);
  EXPECT_EQ(nearest_rank(1, 0.5), 1);
  EXPECT_EQ(nearest_rank(2, 0.5), 1);
  EXPECT_EQ(nearest_rank(100, 0.07), 7);  // 0.07 * 100 is a little more than 7 in floating point
  EXPECT_EQ(nearest_rank(1000, 0.999), 999);
}

TEST(QuantileRanks, EqualSciPysBinomialTails) {
  for (const json& g : read_golden("statistics.json", "ranks")) {
    const RankInterval ranks = quantile_ranks(g["n"], g["p"]);
    const auto expect = [&](const char* side, std::optional<int64_t> got) {
      EXPECT_EQ(got.has_value(), !g[side].is_null()) << g << side;
      if (got && !g[side].is_null()) {
        EXPECT_EQ(*got, g[side].get<int64_t>()) << g << side;
      }
    };
    expect("lower", ranks.lower);
    expect("upper", ranks.upper);
  }
}

TEST(SamplesNeeded, AreThePublishedSmallestSizes) {
  EXPECT_EQ(samples_needed(0.5), 6);
  EXPECT_EQ(samples_needed(0.9), 36);
  EXPECT_EQ(samples_needed(0.95), 72);
  EXPECT_EQ(samples_needed(0.99), 368);
  EXPECT_EQ(samples_needed(0.999), 3688);
  EXPECT_EQ(samples_needed(0.01), 368);
}

TEST(SamplesNeeded, AreExactlyWhereBothRanksBeginToExist) {
  for (const double p : {0.1, 0.5, 0.9, 0.95, 0.99}) {
    const int64_t n = samples_needed(p);
    EXPECT_TRUE(quantile_ranks(n, p).lower && quantile_ranks(n, p).upper) << p;
    EXPECT_FALSE(quantile_ranks(n - 1, p).lower && quantile_ranks(n - 1, p).upper) << p;
  }
}

TEST(Percentile, PicksValuesOfTheSampleWithTheirBounds) {
  std::vector<double> values(2000);
  std::iota(values.begin(), values.end(), 1.0);
  std::shuffle(values.begin(), values.end(), std::mt19937_64(7));
  const Percentile p99 = percentile(values, 0.99);
  EXPECT_EQ(*p99.value, 1980);
  EXPECT_EQ(p99.interval->lower, 1971);  // 98.55% of 2,000
  EXPECT_EQ(p99.interval->upper, 1989);  // 99.45%
  EXPECT_EQ(format_percentile(p99), "1980.0 [1971.0, 1989.0]");
}

TEST(Percentile, WithoutEnoughValuesSaysHowManyItNeeds) {
  const Percentile p99 = percentile(std::vector<double>(164, 1.0), 0.99);
  EXPECT_FALSE(p99.value.has_value());
  EXPECT_FALSE(p99.interval.has_value());
  EXPECT_EQ(format_percentile(p99), "n/a (needs 368)");
  EXPECT_EQ(format_percentile(percentile({}, 0.999)), "n/a (needs 3688)");
  EXPECT_TRUE(percentile(std::vector<double>(368, 1.0), 0.99).value.has_value());
}

// Planted truth: uniform draws, whose quantile p is p. At least 95% of the intervals must hold it;
// 2,000 repeats bring the sampling error of that share to half a percent.
TEST(Percentile, IntervalsCoverTheTrueQuantileAsOftenAsTheyClaim) {
  std::mt19937_64 random(99);
  int covered = 0;
  const int repeats = 2000;
  for (int i = 0; i < repeats; ++i) {
    std::vector<double> values(100);
    for (double& v : values) v = static_cast<double>(random() >> 11) * 0x1p-53;
    const Percentile p = percentile(values, 0.9);
    if (p.interval->lower <= 0.9 && 0.9 <= p.interval->upper) ++covered;
  }
  EXPECT_GE(covered, repeats * 0.94);
  EXPECT_LE(covered, repeats * 0.985);
}

TEST(QuantileClaim, NeedsTheNumbersOfEarlyStopping) {
  EXPECT_EQ(claim_samples_needed(0, 0.99), 459);
  EXPECT_EQ(claim_samples_needed(1, 0.99), 662);
  EXPECT_TRUE(supports_quantile_claim(459, 0, 0.99));
  EXPECT_FALSE(supports_quantile_claim(458, 0, 0.99));
  EXPECT_FALSE(supports_quantile_claim(0, 0, 0.99));
  for (const json& g : read_golden("statistics.json", "claims"))
    EXPECT_EQ(claim_samples_needed(g["n_over"], g["p"]), g["n"].get<int64_t>()) << g;
}

}  // namespace
}  // namespace tasks
