#include "tasks/paired.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/tasks/golden.h"

namespace tasks {
namespace {

using nlohmann::json;

uint32_t step(uint32_t x) { return 1664525u * x + 1013904223u; }

// The planted differences of golden/make_paired.py.
std::vector<Group> planted(uint32_t seed, const std::vector<int>& sizes) {
  std::vector<Group> out;
  for (const int n : sizes) {
    seed = step(seed);
    const int lean = static_cast<int>((seed >> 8) % 7) - 3;
    Group& g = out.emplace_back();
    for (int i = 0; i < n; ++i) {
      seed = step(seed);
      g.values.push_back((static_cast<int>((seed >> 8) % 5) - 2 + (lean > 1 ? 1 : 0)) / 4.0);
    }
  }
  return out;
}

std::vector<double> verdict_differences(int64_t to_wrong, int64_t to_right, int64_t n) {
  std::vector<double> out(static_cast<size_t>(n), 0.0);
  for (int64_t i = 0; i < to_wrong; ++i) out[static_cast<size_t>(i)] = -1;
  for (int64_t i = 0; i < to_right; ++i) out[static_cast<size_t>(n - 1 - i)] = 1;
  return out;
}

// What the intervals are compared with: +- z sqrt((mean square - square of the mean) / n).
// Questions independent. Needs n >= 1.
std::optional<PairedDifference> normal_difference(std::span<const double> differences,
                                                  double level) {
  assert(level > 0 && level < 1);
  const auto centre = mean(differences);
  if (!centre) return std::nullopt;
  const auto n = static_cast<double>(differences.size());
  double squares = 0;  // about the mean: no cancellation
  for (const double d : differences) squares += (d - *centre) * (d - *centre);
  PairedDifference out;
  out.difference = *centre;
  out.standard_error = std::sqrt(squares / n / n);
  const double half = normal_quantile(0.5 + level / 2) * out.standard_error;
  out.interval = {*centre - half, *centre + half};
  out.n = out.n_clusters = static_cast<int64_t>(differences.size());
  return out;
}

std::vector<Group> one_each(const std::vector<double>& values) {
  std::vector<Group> out;
  for (const double v : values) out.push_back({"", {v}});
  return out;
}

TEST(McNemarTest, EqualsSciPyAndStatsmodels) {
  for (const json& golden : read_golden("paired.json", "mcnemar")) {
    const auto got = mcnemar(
        {.right_to_wrong = golden["right_to_wrong"], .wrong_to_right = golden["wrong_to_right"]});
    const double exact = golden["exact_p"], mid = golden["mid_p"];
    EXPECT_NEAR(got.exact_p, exact, 1e-10 * exact + 1e-300) << golden;
    EXPECT_NEAR(got.mid_p, mid, 1e-10 * mid + 1e-300) << golden;
  }
}

TEST(McNemarTest, EqualsTheEnumerationOfAllSigns) {
  for (int n = 1; n <= 14; ++n)
    for (int c = 0; c <= n; ++c) {
      // Every assignment of n disagreements to the two directions is equally likely under the null.
      int64_t at_least = 0, exactly = 0;
      for (uint32_t signs = 0; signs < 1u << n; ++signs) {
        const int imbalance = std::abs(2 * __builtin_popcount(signs) - n);
        at_least += imbalance >= std::abs(2 * c - n);
        exactly += __builtin_popcount(signs) == c;
      }
      const auto got = mcnemar({.right_to_wrong = n - c, .wrong_to_right = c});
      const double all = std::ldexp(1.0, n);
      EXPECT_NEAR(got.exact_p, static_cast<double>(at_least) / all, 1e-12) << n << " " << c;
      const double seen = static_cast<double>(exactly) / all;
      const double mid = 2 * c == n ? 1 : static_cast<double>(at_least) / all - seen;
      EXPECT_NEAR(got.mid_p, mid, 1e-12) << n << " " << c;
    }
}

TEST(McNemarTest, TooFewDisagreementsCannotBeSignificant) {
  EXPECT_GT(mcnemar({.right_to_wrong = kFewestDiscordant - 1}).exact_p, 0.05);
  EXPECT_LT(mcnemar({.right_to_wrong = kFewestDiscordant}).exact_p, 0.05);
  EXPECT_EQ(mcnemar({.both_right = 10, .both_wrong = 3}).exact_p, 1);
}

TEST(NormalQuantile, EqualsSciPy) {
  for (const json& golden : read_golden("paired.json", "quantiles"))
    EXPECT_NEAR(normal_quantile(golden["p"]), golden["z"].get<double>(), 2e-10) << golden;
}

TEST(NormalDifference, EqualsStatsmodels) {
  for (const json& golden : read_golden("paired.json", "normal")) {
    const auto values =
        verdict_differences(golden["right_to_wrong"], golden["wrong_to_right"], golden["n"]);
    const auto got = normal_difference(values, golden["level"]);
    ASSERT_TRUE(got);
    EXPECT_NEAR(got->difference, golden["difference"].get<double>(), 1e-14) << golden;
    EXPECT_NEAR(got->standard_error, golden["se"].get<double>(), 1e-12) << golden;
    EXPECT_NEAR(got->interval.lower, golden["lower"].get<double>(), 1e-12) << golden;
    EXPECT_NEAR(got->interval.upper, golden["upper"].get<double>(), 1e-12) << golden;
    EXPECT_EQ(got->n, golden["n"]);
  }
  EXPECT_FALSE(normal_difference({}, 0.95));
}

TEST(ScoreDifference, EqualsANumericalMaximisation) {
  for (const json& golden : read_golden("paired.json", "score")) {
    PairedTable t{.right_to_wrong = golden["right_to_wrong"],
                  .wrong_to_right = golden["wrong_to_right"]};
    t.both_right = golden["n"].get<int64_t>() - t.discordant();
    const auto got = score_difference(t, golden["level"]);
    ASSERT_TRUE(got);
    EXPECT_NEAR(got->interval.lower, golden["lower"].get<double>(), 1e-6) << golden;
    EXPECT_NEAR(got->interval.upper, golden["upper"].get<double>(), 1e-6) << golden;
    EXPECT_EQ(got->n, golden["n"]);
  }
}

TEST(ScoreDifference, HasAWidthWhenNothingFlipsAndStaysWithinOne) {
  const auto none = score_difference({.both_right = 40, .both_wrong = 60}, 0.9);
  const double z2 = normal_quantile(0.95) * normal_quantile(0.95);
  EXPECT_NEAR(none->interval.upper, z2 / (100 + z2), 1e-9);
  EXPECT_NEAR(none->interval.lower, -z2 / (100 + z2), 1e-9);
  EXPECT_EQ(none->standard_error, 0);
  const auto all = score_difference({.wrong_to_right = 5}, 0.9);
  EXPECT_EQ(all->difference, 1);
  EXPECT_NEAR(all->interval.upper, 1, 1e-12);
  EXPECT_GT(all->interval.lower, 0);
  const auto lost = score_difference({.right_to_wrong = 5}, 0.9);
  EXPECT_NEAR(lost->interval.lower, -all->interval.upper, 1e-12);
  EXPECT_NEAR(lost->interval.upper, -all->interval.lower, 1e-9);
  EXPECT_FALSE(score_difference({}, 0.9));
}

TEST(ScoreDifference, KeepsItsLevelWhereTheNormalIntervalDoesNot) {
  // Nothing gets better, 1% gets worse, the margin is 1%: of 500 questions about 5 flip. A gate at
  // 5% must not pass much more often than that. Summed exactly over the binomial distribution.
  double score_passes = 0, normal_passes = 0, p = std::pow(0.99, 500);
  for (int64_t b = 0; b <= 60; ++b) {
    const auto passes = [](const std::optional<PairedDifference>& d) {
      return judge_non_inferiority(d->interval, 0.01) <= NonInferiority::worse_within_margin;
    };
    if (passes(score_difference({.both_right = 500 - b, .right_to_wrong = b}, 0.9)))
      score_passes += p;
    if (passes(normal_difference(verdict_differences(b, 0, 500), 0.9))) normal_passes += p;
    p *= static_cast<double>(500 - b) / static_cast<double>(b + 1) * (0.01 / 0.99);
  }
  EXPECT_LT(score_passes, 0.06);
  EXPECT_GT(score_passes, 0.02);
  EXPECT_GT(normal_passes, 0.1) << "this is why the score interval is used";
}

TEST(BootstrapDifference, EqualsSciPyOnTheSameDraws) {
  int bca = 0;
  for (const json& golden : read_golden("paired.json", "bootstrap")) {
    const auto clusters = planted(golden["first_seed"], golden["sizes"].get<std::vector<int>>());
    const auto got =
        bootstrap_difference(clusters, golden["level"], golden["n_resamples"], golden["seed"]);
    ASSERT_TRUE(got);
    EXPECT_NEAR(got->difference, golden["difference"].get<double>(), 1e-12);
    EXPECT_NEAR(got->standard_error, golden["se"].get<double>(), 1e-12);
    EXPECT_NEAR(got->interval.lower, golden["lower"].get<double>(), 1e-9) << golden["first_seed"];
    EXPECT_NEAR(got->interval.upper, golden["upper"].get<double>(), 1e-9) << golden["first_seed"];
    EXPECT_EQ(got->n_clusters, golden["sizes"].size());
    EXPECT_EQ(got->method == IntervalMethod::bootstrap_bca, golden["method"] == "BCa");
    bca += got->method == IntervalMethod::bootstrap_bca;
  }
  EXPECT_EQ(bca, 3);
}

TEST(BootstrapDifference, NeedsTwoClustersAndSurvivesEqualOnes) {
  EXPECT_FALSE(bootstrap_difference({}, 0.9));
  EXPECT_FALSE(bootstrap_difference(std::vector<Group>{{"a", {1, 0}}, {"b", {}}}, 0.9));
  const auto got = bootstrap_difference(one_each(std::vector<double>(50, 0.25)), 0.9);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->interval.lower, 0.25);
  EXPECT_EQ(got->interval.upper, 0.25);
  EXPECT_EQ(got->standard_error, 0);
}

TEST(BootstrapDifference, OfVerdictsAgreesWithTheNormalInterval) {
  const auto values = verdict_differences(150, 90, 2000);
  const auto normal = normal_difference(values, 0.9);
  const auto bootstrap = bootstrap_difference(one_each(values), 0.9);
  EXPECT_NEAR(bootstrap->standard_error, normal->standard_error, 0.03 * normal->standard_error);
  EXPECT_NEAR(bootstrap->interval.lower, normal->interval.lower, 0.1 * normal->standard_error);
  EXPECT_NEAR(bootstrap->interval.upper, normal->interval.upper, 0.1 * normal->standard_error);
}

TEST(PairedDifferenceTest, ChoosesTheMethodByTheData) {
  EXPECT_EQ(paired_difference(one_each({0, 1, -1, 0}), 0.9)->method, IntervalMethod::score);
  EXPECT_EQ(paired_difference(one_each({0, 0.5, -1, 0}), 0.9)->method,
            IntervalMethod::bootstrap_percentile);
  EXPECT_EQ(paired_difference(std::vector<Group>{{"a", {0, 1}}, {"b", {1}}}, 0.9)->method,
            IntervalMethod::bootstrap_percentile);
  EXPECT_FALSE(paired_difference({}, 0.9));
}

TEST(PairedDifferenceTest, RepeatsThatNeverDifferAreNoProof) {
  // 8 questions asked in 4 ways each: as uncertain as 8 verdicts without a flip, not as 32, and not
  // certain.
  std::vector<Group> forms, verdicts;
  for (int q = 0; q < 8; ++q) {
    forms.push_back({"q" + std::to_string(q), {0, 0, 0, 0}});
    verdicts.push_back({"q" + std::to_string(q), {0}});
  }
  const auto d = paired_difference(forms, 0.9), same = paired_difference(verdicts, 0.9);
  ASSERT_TRUE(d && same);
  EXPECT_EQ(d->n_clusters, 8);
  EXPECT_LT(d->interval.lower, -0.1);
  EXPECT_DOUBLE_EQ(d->interval.lower, same->interval.lower);
  EXPECT_DOUBLE_EQ(d->interval.upper, same->interval.upper);
  EXPECT_EQ(judge_non_inferiority(d->interval, 0.01), NonInferiority::inconclusive);
}

TEST(PairedDifferenceTest, IntervalsCoverThePlantedDifference) {
  // 200 base questions in 3 variants that share a leaning; the true difference is -0.05.
  std::mt19937_64 random(5);
  const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  constexpr int kTrials = 300;
  int clustered = 0, ignoring = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<Group> clusters(200);
    std::vector<double> flat;
    for (Group& g : clusters) {
      const double shared = uniform();
      for (int v = 0; v < 3; ++v) {
        const double u = uniform() < 0.8 ? shared : uniform();
        g.values.push_back(u < 0.15 ? -1 : u < 0.25 ? 1 : 0);
        flat.push_back(g.values.back());
      }
    }
    const auto covers = [](const Interval& i) { return i.lower <= -0.05 && -0.05 <= i.upper; };
    clustered += covers(bootstrap_difference(clusters, 0.9, 400, 1)->interval);
    ignoring += covers(normal_difference(flat, 0.9)->interval);
  }
  EXPECT_GE(clustered, 0.86 * kTrials);
  EXPECT_LE(clustered, 0.95 * kTrials);
  EXPECT_LT(ignoring, clustered - 0.05 * kTrials) << "the clusters matter";
}

TEST(NonInferiorityTest, HasFiveOutcomes) {
  const auto name = [](double lower, double upper) {
    return non_inferiority_name(judge_non_inferiority({lower, upper}, 0.01));
  };
  EXPECT_EQ(name(0.001, 0.02), "improved");
  EXPECT_EQ(name(-0.009, 0.02), "non_inferior");
  EXPECT_EQ(name(0, 0), "non_inferior");
  EXPECT_EQ(name(-0.009, -0.001), "worse_within_margin");
  EXPECT_EQ(name(-0.02, -0.001), "inferior");
  EXPECT_EQ(name(-0.01, -0.001), "inferior") << "the margin itself is too much";
  EXPECT_EQ(name(-0.01, 0), "inconclusive");
  EXPECT_EQ(name(-0.02, 0.02), "inconclusive");
}

TEST(NonInferiorityTest, AnEquallyGoodSystemPassesAndOneAtTheMarginFailsToAsOftenAsAlphaSays) {
  // 2,000 questions, 5% of verdicts flip: at a true difference of -margin the gate may pass in 5%.
  std::mt19937_64 random(9);
  constexpr int kTrials = 1000, kN = 2000;
  constexpr double kMargin = 0.02;
  const auto passes = [&](double p_worse, double p_better) {
    int n = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      std::vector<double> d(kN);
      for (double& v : d) {
        const double u = static_cast<double>(random() >> 11) * 0x1p-53;
        v = u < p_worse ? -1 : u < p_worse + p_better ? 1 : 0;
      }
      const auto outcome =
          judge_non_inferiority(paired_difference(one_each(d), 0.9)->interval, kMargin);
      n += outcome <= NonInferiority::worse_within_margin;
    }
    return n;
  };
  const int at_margin = passes(0.035, 0.015);
  EXPECT_GE(at_margin, 25);
  EXPECT_LE(at_margin, 80);
  EXPECT_GE(passes(0.025, 0.025), 970);  // the note's table says 99%
}

TEST(Power, DetectableDifferenceEqualsSciPyAndThePublishedTable) {
  for (const json& golden : read_golden("paired.json", "powers"))
    EXPECT_NEAR(detectable_difference(golden["n"], golden["psi"], golden["alpha"], golden["power"]),
                golden["detectable"].get<double>(), 1e-9);
  EXPECT_NEAR(100 * detectable_difference(14042, 0.10), 0.75, 0.005);
  EXPECT_NEAR(100 * detectable_difference(164, 0.05), 4.9, 0.05);
}

TEST(Power, QuestionsNeededIsWhereAnUnchangedSystemPasses) {
  const int64_t n = questions_needed(0.05, 0.01);
  const auto power = [](int64_t questions) {
    return 0.5 * std::erfc(-(0.01 / std::sqrt(0.05 / static_cast<double>(questions)) -
                             normal_quantile(0.95)) /
                           std::sqrt(2.0));
  };
  EXPECT_GE(power(n), 0.8);
  EXPECT_LT(power(n - 1), 0.8);
  const int64_t without_flips = questions_needed(0, 0.01);
  const auto lower = [](int64_t questions) {
    return score_difference({.both_right = questions}, 0.9)->interval.lower;
  };
  EXPECT_GT(lower(without_flips + 1), -0.01);
  EXPECT_LT(lower(without_flips - 1), -0.01);
}

}  // namespace
}  // namespace tasks
