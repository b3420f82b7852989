// Rank, calibration, multiple-test and bootstrap statistics against SciPy, scikit-learn and
// statsmodels (golden/make_audit_statistics.py), and against what their definitions say outright.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tasks/bootstrap.h"
#include "tasks/calibration.h"
#include "tasks/multiple_tests.h"
#include "tasks/paired.h"
#include "tasks/ranks.h"
#include "tests/tasks/golden.h"

namespace tasks {
namespace {

using nlohmann::json;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::Pointwise;

constexpr char kFile[] = "audit_statistics.json";

// The planted values of the generator.
std::vector<double> planted(uint32_t seed, int64_t n, uint32_t levels) {
  std::vector<double> out;
  for (int64_t i = 0; i < n; ++i) {
    seed = 1664525u * seed + 1013904223u;
    out.push_back(static_cast<double>((seed >> 8) % levels) / levels);
  }
  return out;
}

TEST(RanksTest, EqualSciPyAndScikitLearn) {
  for (const json& golden : read_golden(kFile, "ranks")) {
    const int64_t n = golden["n"];
    const uint32_t seed = golden["seed"], levels = golden["levels"];
    const auto x = planted(seed, n, levels), extra = planted(seed + 200, n, 1000);
    auto y = planted(seed + 100, n, levels);
    std::vector<bool> label;
    for (size_t i = 0; i < y.size(); ++i) {
      y[i] = (y[i] + x[i]) / 2;
      label.push_back(extra[i] + x[i] > 1);
    }
    EXPECT_NEAR(spearman(x, y).value(), golden["spearman"], 1e-12) << golden;
    EXPECT_NEAR(kendall_b(x, y).value(), golden["kendall"], 1e-12) << golden;
    const auto area = auroc(y, label);
    ASSERT_EQ(area.has_value(), golden.contains("auroc")) << golden;
    if (area) {
      EXPECT_NEAR(*area, golden["auroc"], 1e-12) << golden;
    }
  }
}

TEST(RanksTest, KendallEqualsTheCountOfAllPairs) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 200; ++round) {
    const size_t n = 2 + random() % 30, levels = 1 + random() % 8;
    std::vector<double> x, y;
    for (size_t i = 0; i < n; ++i) {
      x.push_back(static_cast<double>(random() % levels));
      y.push_back(static_cast<double>(random() % levels));
    }
    double sum = 0, x_pairs = 0, y_pairs = 0;
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < i; ++j) {
        const double dx = x[i] - x[j], dy = y[i] - y[j];
        sum += dx * dy > 0 ? 1 : dx * dy < 0 ? -1 : 0;
        x_pairs += dx != 0;
        y_pairs += dy != 0;
      }
    const auto tau = kendall_b(x, y);
    ASSERT_EQ(tau.has_value(), x_pairs * y_pairs > 0);
    if (tau) {
      EXPECT_NEAR(*tau, sum / std::sqrt(x_pairs * y_pairs), 1e-12);
    }
  }
}

TEST(RanksTest, NothingVariesNothingIsSaid) {
  const std::vector<double> flat{2, 2, 2}, x{1, 2, 3}, none;
  EXPECT_FALSE(spearman(flat, x));
  EXPECT_FALSE(kendall_b(x, flat));
  EXPECT_FALSE(auroc(x, {true, true, true}));
  EXPECT_FALSE(spearman(none, none));
  EXPECT_FALSE(kendall_b(none, none));
  EXPECT_EQ(auroc(flat, {true, false, true}), 0.5);
}

TEST(CalibrationTest, EqualsScikitLearn) {
  for (const json& golden : read_golden(kFile, "calibration")) {
    const int64_t n = golden["n"];
    const auto p = planted(golden["seed"], n, 1u << 24);
    auto y = planted(golden["seed"].get<uint32_t>() + 50, n, 1u << 24);
    for (size_t i = 0; i < y.size(); ++i) y[i] = y[i] < std::pow(p[i], 1.5) ? 1 : 0;
    EXPECT_NEAR(brier(p, y).value(), golden["brier"], 1e-12);
    EXPECT_NEAR(expected_calibration_error(p, y).value(), golden["ece"], 1e-12);
  }
}

TEST(CalibrationTest, EqualProbabilitiesStayTogether) {
  const std::vector<double> p{0.5, 0.1, 0.5, 0.5, 0.5, 0.9}, y{1, 0, 1, 0, 0, 1};
  const auto bins = reliability(p, y, 3);
  std::vector<int64_t> sizes;
  for (const auto& b : bins) sizes.push_back(b.n);
  EXPECT_THAT(sizes, ElementsAre(5, 1));
  EXPECT_NEAR(bins[0].stated, 0.42, 1e-12);
  EXPECT_NEAR(bins[0].happened, 0.4, 1e-12);
  EXPECT_FALSE(expected_calibration_error({}, {}));
}

TEST(MultipleTestsTest, EqualStatsmodels) {
  for (const json& golden : read_golden(kFile, "multiple")) {
    auto p = planted(golden["seed"], golden["n"], 1000);
    for (double& v : p) v = v * v * v;
    EXPECT_THAT(holm(p), Pointwise(DoubleNear(1e-12), golden["holm"].get<std::vector<double>>()));
    EXPECT_THAT(benjamini_hochberg(p),
                Pointwise(DoubleNear(1e-12), golden["bh"].get<std::vector<double>>()));
  }
  EXPECT_TRUE(holm({}).empty());
}

TEST(BootstrapTest, TheIntervalOfARatioEqualsSciPy) {
  for (const json& golden : read_golden(kFile, "bootstrap")) {
    const int64_t n = golden["n"];
    const auto a = planted(golden["seed"], n, 1000);
    const auto b = planted(golden["seed"].get<uint32_t>() + 50, n, 1000);
    std::vector<double> rows;
    for (size_t i = 0; i < a.size(); ++i) {
      rows.push_back(a[i]);
      rows.push_back(b[i] + 0.5);
    }
    const auto got = bootstrap_sums(
        rows, 2, 1, [](auto sums, auto out) { out[0] = sums[0] / sums[1]; }, 0.95, 500, 7);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].n, n);
    EXPECT_EQ(got[0].method, n < kFewestClustersForBca ? IntervalMethod::bootstrap_percentile
                                                       : IntervalMethod::bootstrap_bca);
    EXPECT_NEAR(got[0].value.value(), golden["estimate"], 1e-12);
    EXPECT_NEAR(got[0].interval.value().lower, golden["lower"], 1e-9);
    EXPECT_NEAR(got[0].interval.value().upper, golden["upper"], 1e-9);
  }
}

TEST(BootstrapTest, WhatIsNotDefinedHasNoInterval) {
  // The second sum is 0 in a third of the resamples.
  std::vector<double> rows;
  for (int i = 0; i < 12; ++i) rows.insert(rows.end(), {1, i == 0 ? 1.0 : 0.0});
  const auto got = bootstrap_sums(rows, 2, 2, [](auto sums, auto out) {
    out[0] = sums[1] > 0 ? sums[0] / sums[1] : NAN;
    out[1] = NAN;
  });
  EXPECT_EQ(got[0].value, 12);
  EXPECT_FALSE(got[0].interval);
  EXPECT_FALSE(got[1].value);
  const auto one =
      bootstrap_sums(std::vector<double>{3}, 1, 1, [](auto sums, auto out) { out[0] = sums[0]; });
  EXPECT_EQ(one[0].value, 3);
  EXPECT_FALSE(one[0].interval);
}

TEST(SignFlipTest, EqualsTheEnumerationAndTheBinomial) {
  // All differences alike: the sum is as far out only when all signs agree.
  EXPECT_DOUBLE_EQ(sign_flip_p(std::vector<double>(5, 1.0)), 2.0 / 32);
  EXPECT_DOUBLE_EQ(sign_flip_p(std::vector<double>{1, 1, 0, 0}), 0.5);
  EXPECT_DOUBLE_EQ(sign_flip_p(std::vector<double>{3, -1, -1}), 1);
  EXPECT_EQ(sign_flip_p(std::vector<double>{0, 0}), 1);
  EXPECT_EQ(sign_flip_p({}), 1);
  // Drawn: P(|sum of 40 signs| >= 12) = 0.0807.
  std::vector<double> values(40, 1.0);
  for (size_t i = 0; i < 14; ++i) values[i] = -1;
  EXPECT_NEAR(sign_flip_p(values), 0.0807, 0.01);
}

TEST(BootstrapTest, DrawsCoverTheRankCorrelationOfAPlantedPopulation) {
  // x and y share half of their variance: rho of the population is near 0.5.
  std::mt19937_64 random(9);
  std::normal_distribution<double> normal;
  std::vector<double> x, y;
  for (int i = 0; i < 500; ++i) {
    const double common = normal(random);
    x.push_back(common + normal(random));
    y.push_back(common + normal(random));
  }
  const auto got = bootstrap_draws(500, [&](std::span<const int64_t> drawn) {
    std::vector<double> a, b;
    for (const int64_t i : drawn) {
      a.push_back(x[static_cast<size_t>(i)]);
      b.push_back(y[static_cast<size_t>(i)]);
    }
    return spearman(a, b);
  });
  ASSERT_TRUE(got.interval);
  EXPECT_LT(got.interval->lower, 0.483);  // (6 / pi) asin(1 / 4)
  EXPECT_GT(got.interval->upper, 0.483);
  EXPECT_LT(got.interval->upper - got.interval->lower, 0.2);
}

}  // namespace
}  // namespace tasks
