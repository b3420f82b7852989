#include "tasks/bootstrap.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "tasks/normal.h"
#include "tasks/random_draw.h"

namespace tasks {
namespace {

// Resamples that may be undefined before the rest no longer speaks for all.
constexpr double kMostUndefined = 0.05;

// Linear interpolation between order statistics at p (count - 1), as NumPy does by default.
double quantile(std::span<const double> sorted, double p) {
  const double at = std::clamp(p, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

// Skewness of the jackknife values.
double acceleration(std::span<const double> left_out) {
  double centre = 0;
  for (const double v : left_out) centre += v / static_cast<double>(left_out.size());
  double squares = 0, cubes = 0;
  for (const double v : left_out) {
    squares += (centre - v) * (centre - v);
    cubes += (centre - v) * (centre - v) * (centre - v);
  }
  return squares > 0 ? cubes / (6 * std::pow(squares, 1.5)) : 0;
}

// BCa's place of a nominal tail probability in the bootstrap distribution.
double corrected(double p, double bias, double accelerate) {
  const double z = bias + normal_quantile(p);
  return normal_cdf(bias + z / (1 - accelerate * z));
}

// From resamples of which some may be NaN.
void set_interval(std::vector<double>& values, std::span<const double> left_out, double level,
                  Estimate* e) {
  const size_t asked = values.size();
  std::erase_if(values, [](double v) { return std::isnan(v); });
  if (!e->value ||
      static_cast<double>(asked - values.size()) > kMostUndefined * static_cast<double>(asked))
    return;
  std::sort(values.begin(), values.end());
  if (values.front() == values.back()) return;
  const auto interval = resampled_interval(values, *e->value, left_out, level);
  e->interval = interval.interval;
  e->method = interval.method;
}

}  // namespace

std::string_view interval_method_name(IntervalMethod method) {
  switch (method) {
    case IntervalMethod::score:
      return "score";
    case IntervalMethod::bootstrap_bca:
      return "cluster bootstrap, BCa";
    case IntervalMethod::bootstrap_percentile:
      return "cluster bootstrap, percentile";
  }
  return "";
}

Estimate share(int64_t hits, int64_t n) {
  Estimate out;
  out.n = n;
  if (n < 1) return out;
  out.value = static_cast<double>(hits) / static_cast<double>(n);
  out.interval = wilson_interval(hits, n);
  out.method = IntervalMethod::score;
  return out;
}

ResampledInterval resampled_interval(std::span<const double> sorted, double estimate,
                                     std::span<const double> left_one_out, double level) {
  assert(level > 0 && level < 1 && !sorted.empty());
  const double tail = (1 - level) / 2;
  double lower = tail, upper = 1 - tail;
  ResampledInterval out;
  if (static_cast<int64_t>(left_one_out.size()) >= kFewestClustersForBca) {
    // Bias: where the estimate stands among the resamples, ties counted half.
    const auto below = std::lower_bound(sorted.begin(), sorted.end(), estimate);
    const auto not_above = std::upper_bound(sorted.begin(), sorted.end(), estimate);
    const double share =
        static_cast<double>((below - sorted.begin()) + (not_above - sorted.begin())) /
        (2.0 * static_cast<double>(sorted.size()));
    if (share > 0 && share < 1) {
      const double bias = normal_quantile(share), accelerate = acceleration(left_one_out);
      lower = corrected(tail, bias, accelerate);
      upper = corrected(1 - tail, bias, accelerate);
      out.method = IntervalMethod::bootstrap_bca;
    }
  }
  out.interval = {quantile(sorted, lower), quantile(sorted, upper)};
  return out;
}

std::vector<Estimate> bootstrap_sums(
    std::span<const double> rows, size_t width, size_t n_statistics,
    const std::function<void(std::span<const double> sums, std::span<double> out)>& of,
    double level, int n_resamples, uint64_t seed) {
  assert(width > 0 && rows.size() % width == 0 && n_resamples >= 2);
  const size_t n = rows.size() / width;
  std::vector<double> total(width), sums(width), at(n_statistics);
  for (size_t i = 0; i < rows.size(); ++i) total[i % width] += rows[i];
  std::vector<Estimate> out(n_statistics);
  of(total, at);
  for (size_t s = 0; s < n_statistics; ++s) {
    out[s].n = static_cast<int64_t>(n);
    if (!std::isnan(at[s])) out[s].value = at[s];
  }
  if (static_cast<int64_t>(n) < kFewestClusters) return out;

  std::mt19937_64 random(seed);
  std::vector<std::vector<double>> resampled(n_statistics), left_out(n_statistics);
  for (int b = 0; b < n_resamples; ++b) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (size_t i = 0; i < n; ++i) {
      const double* row = rows.data() + draw(random, n) * width;
      for (size_t j = 0; j < width; ++j) sums[j] += row[j];
    }
    of(sums, at);
    for (size_t s = 0; s < n_statistics; ++s) resampled[s].push_back(at[s]);
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < width; ++j) sums[j] = total[j] - rows[i * width + j];
    of(sums, at);
    for (size_t s = 0; s < n_statistics; ++s)
      if (!std::isnan(at[s])) left_out[s].push_back(at[s]);
  }
  for (size_t s = 0; s < n_statistics; ++s) set_interval(resampled[s], left_out[s], level, &out[s]);
  return out;
}

Estimate bootstrap_draws(int64_t n_clusters,
                         const std::function<std::optional<double>(std::span<const int64_t>)>& of,
                         double level, int n_resamples, uint64_t seed) {
  std::vector<int64_t> drawn(static_cast<size_t>(n_clusters));
  std::iota(drawn.begin(), drawn.end(), int64_t{0});
  Estimate out;
  out.n = n_clusters;
  out.value = of(drawn);
  if (n_clusters < kFewestClusters || !out.value) return out;
  std::mt19937_64 random(seed);
  std::vector<double> values;
  for (int b = 0; b < n_resamples; ++b) {
    for (int64_t& d : drawn)
      d = static_cast<int64_t>(draw(random, static_cast<size_t>(n_clusters)));
    values.push_back(of(drawn).value_or(std::numeric_limits<double>::quiet_NaN()));
  }
  set_interval(values, {}, level, &out);
  return out;
}

}  // namespace tasks
