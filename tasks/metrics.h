// Owns the statistics of scores: means, standard errors, intervals, pass@k, bootstrap. Pure
// functions over numbers; nothing here knows where they come from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tasks {

struct Interval {
  double lower = 0, upper = 0;
};

// Empty input has no mean.
std::optional<double> mean(std::span<const double> values);

// Standard error of the mean, sqrt(sample variance (n - 1) / n); needs n >= 2.
std::optional<double> standard_error(std::span<const double> values);

// The scores of one subject or other cluster.
struct Group {
  std::string name;
  std::vector<double> values;
};

std::optional<double> micro_mean(std::span<const Group>);  // every value weighs the same
std::optional<double> macro_mean(std::span<const Group>);  // every non-empty group weighs the same

// Stratified standard error of the micro mean, as lm-eval prints for groups ("pooled"):
// sqrt( sum_i (n_i - 1) n_i se_i^2 / (N - K) / N ), N values in K groups. The groups are fixed, the
// spread between them does not count. Groups with one value add no variance but count in N and K.
// Needs N > K.
std::optional<double> pooled_standard_error(std::span<const Group>);

// Clustered standard error of the micro mean, groups taken as a sample of c groups:
// sqrt( c / (c - 1) * sum over groups (sum of residuals)^2 ) / N. Needs c >= 2.
// (Miller 2024, "Adding Error Bars to Evals", with the small-sample factor.)
std::optional<double> clustered_standard_error(std::span<const Group>);

// Wilson score interval for a proportion, two-sided 95% unless z says otherwise. Needs n >= 1,
// 0 <= successes <= n.
std::optional<Interval> wilson_interval(int64_t successes, int64_t n, double z = 1.959963984540054);

// Unbiased pass@k of one problem: 1 - C(n - c, k) / C(n, k), in product form (Chen et al. 2021).
// n samples, c of them right. Needs 0 <= c <= n and 1 <= k <= n.
double pass_at_k(int n, int c, int k);

struct ProblemSamples {
  int n = 0, c = 0;
};
// Per-problem pass@k, in order; none when a problem has fewer than k samples or there is none.
std::optional<std::vector<double>> pass_at_k(std::span<const ProblemSamples>, int k);

// Percentile bootstrap of the mean over problems (or any independent unit): `values` holds one
// number a problem. Deterministic in the seed on every platform. Needs at least 2 values.
struct Bootstrap {
  double standard_error = 0;
  Interval interval;  // 95%
};
std::optional<Bootstrap> bootstrap_mean(std::span<const double> values, int n_resamples,
                                        uint64_t seed);

}  // namespace tasks
