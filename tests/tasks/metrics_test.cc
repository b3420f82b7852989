#include "tasks/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "datasets/mmlu_categories.h"
#include "tasks/category_report.h"
#include "tests/tasks/golden.h"

namespace tasks {
namespace {

using nlohmann::json;

// The planted scores of golden/make_statistics.py.
std::vector<double> scores(uint32_t seed, int n, uint32_t percent) {
  std::vector<double> out;
  for (int i = 0; i < n; ++i) {
    seed = 1664525u * seed + 1013904223u;
    out.push_back((seed >> 8) % 100 < percent ? 1 : 0);
  }
  return out;
}

std::vector<Group> planted_groups(const json& golden) {
  std::vector<Group> groups;
  for (size_t i = 0; i < golden["sizes"].size(); ++i)
    groups.push_back({"subject" + std::to_string(i),
                      scores(golden["first_seed"].get<uint32_t>() + static_cast<uint32_t>(i),
                             golden["sizes"][i], golden["percents"][i])});
  return groups;
}

TEST(GroupStatistics, EqualSciPyNumPyAndLmEval) {
  for (const json& golden : read_golden("statistics.json", "groups")) {
    const std::vector<Group> groups = planted_groups(golden);
    std::vector<double> all;
    for (const Group& g : groups) all.insert(all.end(), g.values.begin(), g.values.end());
    EXPECT_NEAR(*micro_mean(groups), golden["micro"].get<double>(), 1e-12);
    EXPECT_NEAR(*macro_mean(groups), golden["macro"].get<double>(), 1e-12);
    EXPECT_NEAR(*standard_error(all), golden["se"].get<double>(), 1e-12);
    EXPECT_NEAR(*pooled_standard_error(groups), golden["pooled"].get<double>(), 1e-12);
    EXPECT_NEAR(*clustered_standard_error(groups), golden["clustered"].get<double>(), 1e-12);
  }
}

// By hand: two subjects, {1, 1, 0} and {0, 1}: squared deviations 2/3 and 1/2, N - K = 3.
TEST(PooledStandardError, MatchesAHandCase) {
  const std::vector<Group> groups = {{"a", {1, 1, 0}}, {"b", {0, 1}}};
  EXPECT_NEAR(*pooled_standard_error(groups), std::sqrt((2.0 / 3 + 0.5) / 3 / 5), 1e-15);
}

TEST(PooledStandardError, IgnoresTheSpreadBetweenSubjectsAndTheClusteredOneDoesNot) {
  const std::vector<Group> groups = {{"a", std::vector<double>(50, 1)},
                                     {"b", std::vector<double>(50, 0)}};
  EXPECT_EQ(*pooled_standard_error(groups), 0);
  EXPECT_NEAR(*clustered_standard_error(groups), 0.5, 1e-15);  // two clusters, +-25 of 100 each
}

TEST(ClusteredStandardError, OfClustersOfOneIsThePlainOne) {
  std::vector<Group> groups;
  const std::vector<double> values = scores(3, 200, 40);
  for (const double v : values) groups.push_back({"", {v}});
  EXPECT_NEAR(*clustered_standard_error(groups), *standard_error(values), 1e-15);
}

TEST(Statistics, ThatNeedMoreValuesAreAbsent) {
  EXPECT_EQ(mean({}), std::nullopt);
  EXPECT_EQ(standard_error(std::vector<double>{1}), std::nullopt);
  EXPECT_EQ(micro_mean({}), std::nullopt);
  EXPECT_EQ(macro_mean(std::vector<Group>{{"a", {}}}), std::nullopt);
  EXPECT_EQ(pooled_standard_error(std::vector<Group>{{"a", {1}}, {"b", {0}}}), std::nullopt);
  EXPECT_EQ(clustered_standard_error(std::vector<Group>{{"a", {1, 0}}, {"b", {}}}), std::nullopt);
  EXPECT_EQ(clustered_standard_error({}), std::nullopt);
  EXPECT_FALSE(wilson_interval(0, 0).has_value());
}

TEST(WilsonInterval, EqualsSciPy) {
  for (const json& g : read_golden("statistics.json", "wilson")) {
    const auto interval = wilson_interval(g["k"], g["n"]);
    EXPECT_NEAR(interval->lower, g["lower"].get<double>(), 1e-12) << g;
    EXPECT_NEAR(interval->upper, g["upper"].get<double>(), 1e-12) << g;
  }
}

// The share of the k-subsets of n samples, c of them right, that hold a right one.
double brute_force_pass_at_k(int n, int c, int k) {
  int subsets = 0, passing = 0;
  for (uint32_t set = 0; set < (1u << n); ++set) {
    if (__builtin_popcount(set) != k) continue;
    ++subsets;
    if (set & ((1u << c) - 1)) ++passing;
  }
  return static_cast<double>(passing) / subsets;
}

TEST(PassAtK, EqualsCountingEverySubset) {
  for (int n = 1; n <= 12; ++n)
    for (int c = 0; c <= n; ++c)
      for (int k = 1; k <= n; ++k)
        EXPECT_NEAR(pass_at_k(n, c, k), brute_force_pass_at_k(n, c, k), 1e-12)
            << n << " " << c << " " << k;
}

TEST(PassAtK, OfOneIsTheShareOfRightSamplesAndStaysFiniteForMany) {
  EXPECT_NEAR(pass_at_k(200, 37, 1), 37.0 / 200, 1e-12);
  EXPECT_EQ(pass_at_k(200, 0, 100), 0);
  EXPECT_EQ(pass_at_k(200, 101, 100), 1);
  EXPECT_GT(pass_at_k(100000, 1, 50000), 0.499);
}

TEST(PassAtK, IsAbsentWhenAProblemHasTooFewSamples) {
  const std::vector<ProblemSamples> problems = {{10, 3}, {5, 5}};
  EXPECT_FALSE(pass_at_k(problems, 6).has_value());
  EXPECT_FALSE(pass_at_k(std::vector<ProblemSamples>{}, 1).has_value());
  const auto at5 = pass_at_k(problems, 5);
  ASSERT_TRUE(at5.has_value());
  EXPECT_NEAR((*at5)[0], pass_at_k(10, 3, 5), 0);
  EXPECT_EQ((*at5)[1], 1);
}

TEST(BootstrapMean, IsDeterministicInTheSeedAndCloseToTheAnalyticError) {
  const std::vector<double> values = scores(11, 164, 30);
  const auto a = bootstrap_mean(values, 4000, 1), again = bootstrap_mean(values, 4000, 1),
             other = bootstrap_mean(values, 4000, 2);
  EXPECT_EQ(a->standard_error, again->standard_error);
  EXPECT_EQ(a->interval.lower, again->interval.lower);
  EXPECT_NE(a->standard_error, other->standard_error);
  const double analytic = *standard_error(values);
  EXPECT_NEAR(a->standard_error, analytic, 0.05 * analytic);
  EXPECT_NEAR(a->interval.upper - a->interval.lower, 2 * 1.96 * analytic, 0.1 * 4 * analytic);
  EXPECT_LT(a->interval.lower, *mean(values));
  EXPECT_GT(a->interval.upper, *mean(values));
}

// The generator and its use were written a second time in Python.
TEST(BootstrapMean, GivesTheSameNumbersEverywhere) {
  for (const json& g : read_golden("statistics.json", "bootstrap")) {
    std::vector<double> values(g["n"].get<size_t>());
    std::iota(values.begin(), values.end(), 0.0);
    const auto b = bootstrap_mean(values, g["n_resamples"], g["seed"]);
    EXPECT_DOUBLE_EQ(b->interval.lower, g["lower"].get<double>());
    EXPECT_DOUBLE_EQ(b->interval.upper, g["upper"].get<double>());
    EXPECT_NEAR(b->standard_error, g["se"].get<double>(), 1e-14);
  }
}

TEST(BootstrapMean, OfEqualValuesHasNoWidthAndNeedsTwoValues) {
  const auto b = bootstrap_mean(std::vector<double>(20, 1), 100, 5);
  EXPECT_EQ(b->standard_error, 0);
  EXPECT_EQ(b->interval.lower, 1);
  EXPECT_EQ(b->interval.upper, 1);
  EXPECT_FALSE(bootstrap_mean(std::vector<double>{1}, 100, 5).has_value());
}

TEST(ScoreCategories, DependsOnTheMapExactlyWhereTheMapsDiffer) {
  const std::vector<Group> subjects = {{"anatomy", {1, 1, 0, 0}},
                                       {"astronomy", {1, 1}},
                                       {"virology", {0, 0, 0}},
                                       {"empty_one", {}},
                                       {"home_made", {1}}};
  const auto report = [&](datasets::MmluCategoryMap map) {
    std::map<std::string, std::string> names;
    for (const Group& g : subjects)
      if (const auto category = datasets::mmlu_category(g.name, map))
        names[g.name] = datasets::mmlu_category_name(*category);
    return score_categories(subjects, names);
  };
  const auto original = report(datasets::MmluCategoryMap::original);
  ASSERT_EQ(original.size(), 3u);
  EXPECT_EQ(original[1].category, "other");
  EXPECT_EQ(original[1].n_subjects, 2);
  EXPECT_EQ(original[1].n, 7);
  EXPECT_DOUBLE_EQ(*original[1].micro, 2.0 / 7);
  EXPECT_DOUBLE_EQ(*original[1].macro, 0.25);
  EXPECT_DOUBLE_EQ(*original[1].pooled_standard_error, std::sqrt(1.0 / 5 / 7));
  EXPECT_EQ(original[2].category, "uncategorised");
  EXPECT_EQ(original[2].n, 1);
  const auto lm_eval = report(datasets::MmluCategoryMap::lm_eval);
  EXPECT_EQ(lm_eval[0].n, 6);  // anatomy and astronomy
  EXPECT_EQ(lm_eval[1].n, 3);
}

}  // namespace
}  // namespace tasks
