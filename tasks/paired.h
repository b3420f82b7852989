// Owns the statistics of two systems on the same questions: exact McNemar, the paired difference
// with its interval, non-inferiority. Pure functions; a difference is always candidate - baseline.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tasks/bootstrap.h"
#include "tasks/metrics.h"
#include "tasks/normal.h"

namespace tasks {

// Two right-or-wrong verdicts on each of n questions.
struct PairedTable {
  int64_t both_right = 0, right_to_wrong = 0, wrong_to_right = 0, both_wrong = 0;
  int64_t n() const { return both_right + right_to_wrong + wrong_to_right + both_wrong; }
  int64_t discordant() const { return right_to_wrong + wrong_to_right; }
};

// Two-sided McNemar test on the discordant pairs: exact binomial with p = 1/2, and the mid-p
// variant (exact minus the probability of what was seen; Fagerland, Lydersen, Laake 2013). 1
// without any discordant pair.
struct McNemar {
  double exact_p = 1, mid_p = 1;
};
McNemar mcnemar(const PairedTable&);
// Fewer discordant pairs than this cannot reach an exact two-sided p below 0.05.
inline constexpr int64_t kFewestDiscordant = 6;

// Two-sided sign-flip (randomisation) test that paired differences are as likely up as down: the
// share of sign assignments whose sum is as far from 0. All of them up to 16 differences, else
// kSignFlips drawn ones with the observed one counted in. Zeros do not count.
inline constexpr int kSignFlips = 20000;
double sign_flip_p(std::span<const double> differences);

struct PairedDifference {
  double difference = 0;  // mean over the questions
  double standard_error = 0;
  Interval interval;
  IntervalMethod method = IntervalMethod::score;
  int64_t n = 0, n_clusters = 0;
};

// Difference (c - b) / n of two shares of right answers, b right to wrong, c wrong to right, with
// standard error sqrt((psi - Delta^2) / n), psi = (b + c) / n, and the score interval of Tango 1998
// (Statistics in Medicine 17): the Delta whose score test does not reject. Unlike the normal
// interval it keeps its level when few answers flip, and has a width when none does. Questions
// independent. Needs n >= 1.
std::optional<PairedDifference> score_difference(const PairedTable&, double level);

// Cluster bootstrap of the mean difference: whole clusters are drawn, their questions weigh the
// same. BCa (Efron 1987; acceleration by the jackknife over clusters) from 40 clusters on, else
// percentiles; quantiles are interpolated linearly. Deterministic in the seed on every platform.
// Needs two non-empty clusters.
inline constexpr int kPairedResamples = 10000;
inline constexpr uint64_t kPairedSeed = 1;
std::optional<PairedDifference> bootstrap_difference(std::span<const Group> clusters, double level,
                                                     int n_resamples = kPairedResamples,
                                                     uint64_t seed = kPairedSeed);

// The interval that fits the data: score_difference when every cluster is one question with a
// verdict on each side (difference -1, 0 or 1), else the bootstrap. When no cluster differs at all
// the bootstrap would have no width; then it is score_difference of the clusters.
std::optional<PairedDifference> paired_difference(std::span<const Group> clusters, double level);

// Five outcomes of a non-inferiority test with margin m > 0 on the interval [L, U] of the
// difference at level 1 - 2 alpha (one-sided alpha).
enum class NonInferiority {
  improved,             // L > 0
  non_inferior,         // L > -m
  worse_within_margin,  // L > -m and U < 0
  inferior,             // L <= -m and U < 0
  inconclusive          // L <= -m and U >= 0
};
NonInferiority judge_non_inferiority(const Interval&, double margin);
std::string_view non_inferiority_name(NonInferiority);

// Smallest true difference that n pairs show at two-sided alpha with the given power, psi the share
// of discordant pairs: (z_(1 - alpha/2) + z_power) sqrt(psi / n). 0 < psi <= 1.
double detectable_difference(int64_t n, double psi, double alpha = 0.05, double power = 0.8);

// Questions after which an unchanged system (difference 0) is declared non-inferior with the given
// power: psi ((z_(1 - alpha) + z_power) / margin)^2, but at least those that suffice when nothing
// flips, z_(1 - alpha)^2 (1 - margin) / margin. 0 <= psi <= 1.
int64_t questions_needed(double psi, double margin, double alpha = 0.05, double power = 0.8);

}  // namespace tasks
