// Owns the cluster bootstrap of any statistic: whole clusters are drawn with replacement, their
// values stay together. Deterministic in the seed on every platform.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "tasks/metrics.h"

namespace tasks {

// How an interval came about.
enum class IntervalMethod { score, bootstrap_bca, bootstrap_percentile };
std::string_view interval_method_name(IntervalMethod);

inline constexpr int64_t kFewestClusters = 10;  // fewer: no interval
inline constexpr int64_t kFewestClustersForBca = 40;
inline constexpr int kResamples = 10000;
inline constexpr uint64_t kResampleSeed = 1;
inline constexpr double kResampleLevel = 0.95;

// The interval of an estimate from its resamples, ascending. BCa (Efron 1987) with the acceleration
// of the jackknife values when there are at least kFewestClustersForBca of them and the estimate
// lies among the resamples, else percentiles; quantiles are interpolated linearly.
struct ResampledInterval {
  Interval interval;
  IntervalMethod method = IntervalMethod::bootstrap_percentile;
};
ResampledInterval resampled_interval(std::span<const double> sorted, double estimate,
                                     std::span<const double> left_one_out, double level);

struct Estimate {
  std::optional<double> value;  // absent: the statistic is not defined
  std::optional<Interval>
      interval;  // absent too where more than 5% of the resamples were undefined
  IntervalMethod method = IntervalMethod::bootstrap_percentile;
  int64_t n = 0;  // clusters; of a share with Wilson's interval: of what it is a share
};

// hits of n independent items, with Wilson's interval (method score).
Estimate share(int64_t hits, int64_t n);

// A mean or share of sums; not defined where nothing was counted.
inline double ratio(double sum, double count) {
  return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
}

// Statistics of sums: rows [n_clusters, width] are added up over the drawn clusters, `of` writes
// one value per statistic (NaN: not defined).
std::vector<Estimate> bootstrap_sums(
    std::span<const double> rows, size_t width, size_t n_statistics,
    const std::function<void(std::span<const double> sums, std::span<double> out)>& of,
    double level = kResampleLevel, int n_resamples = kResamples, uint64_t seed = kResampleSeed);

// Statistics of the drawn clusters themselves (rank correlations): percentiles, no jackknife.
inline constexpr int kDrawResamples = 2000;
Estimate bootstrap_draws(int64_t n_clusters,
                         const std::function<std::optional<double>(std::span<const int64_t>)>& of,
                         double level = kResampleLevel, int n_resamples = kDrawResamples,
                         uint64_t seed = kResampleSeed);

}  // namespace tasks
