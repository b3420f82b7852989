#include "tasks/metrics.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <random>

#include "tasks/random_draw.h"

namespace tasks {
namespace {

double sum(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

double squared_deviations(std::span<const double> values) {
  const double centre = sum(values) / static_cast<double>(values.size());
  double total = 0;
  for (const double v : values) total += (v - centre) * (v - centre);
  return total;
}

size_t count_values(std::span<const Group> groups) {
  size_t n = 0;
  for (const Group& g : groups) n += g.values.size();
  return n;
}

}  // namespace

std::optional<double> mean(std::span<const double> values) {
  if (values.empty()) return std::nullopt;
  return sum(values) / static_cast<double>(values.size());
}

std::optional<double> standard_error(std::span<const double> values) {
  if (values.size() < 2) return std::nullopt;
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squared_deviations(values) / (n - 1) / n);
}

std::optional<double> micro_mean(std::span<const Group> groups) {
  const size_t n = count_values(groups);
  if (n == 0) return std::nullopt;
  double total = 0;
  for (const Group& g : groups) total += sum(g.values);
  return total / static_cast<double>(n);
}

std::optional<double> macro_mean(std::span<const Group> groups) {
  std::vector<double> means;
  for (const Group& g : groups)
    if (const auto m = mean(g.values)) means.push_back(*m);
  return mean(means);
}

std::optional<double> pooled_standard_error(std::span<const Group> groups) {
  size_t n = 0, k = 0;
  double within = 0;  // (n_i - 1) n_i se_i^2 is the sum of squared deviations of group i
  for (const Group& g : groups) {
    if (g.values.empty()) continue;
    ++k;
    n += g.values.size();
    within += squared_deviations(g.values);
  }
  if (n <= k) return std::nullopt;
  return std::sqrt(within / static_cast<double>(n - k) / static_cast<double>(n));
}

std::optional<double> clustered_standard_error(std::span<const Group> groups) {
  const auto centre = micro_mean(groups);
  double total = 0, c = 0;
  for (const Group& g : groups) {
    if (g.values.empty()) continue;
    const double residual = sum(g.values) - *centre * static_cast<double>(g.values.size());
    total += residual * residual;
    ++c;
  }
  if (c < 2) return std::nullopt;
  return std::sqrt(c / (c - 1) * total) / static_cast<double>(count_values(groups));
}

std::optional<Interval> wilson_interval(int64_t successes, int64_t n, double z) {
  if (n < 1) return std::nullopt;
  assert(successes >= 0 && successes <= n);
  const auto count = static_cast<double>(n);
  const double p = static_cast<double>(successes) / count;
  const double scale = 1 + z * z / count;
  const double centre = (p + z * z / (2 * count)) / scale;
  const double half = z / scale * std::sqrt(p * (1 - p) / count + z * z / (4 * count * count));
  return Interval{successes == 0 ? 0 : centre - half, successes == n ? 1 : centre + half};
}

double pass_at_k(int n, int c, int k) {
  assert(c >= 0 && c <= n && k >= 1 && k <= n);
  if (n - c < k) return 1;
  double none_right = 1;
  for (int i = n - c + 1; i <= n; ++i) none_right *= 1 - static_cast<double>(k) / i;
  return 1 - none_right;
}

std::optional<std::vector<double>> pass_at_k(std::span<const ProblemSamples> problems, int k) {
  if (problems.empty() || k < 1) return std::nullopt;
  std::vector<double> out;
  for (const ProblemSamples& p : problems) {
    if (p.n < k) return std::nullopt;
    out.push_back(pass_at_k(p.n, p.c, k));
  }
  return out;
}

std::optional<Bootstrap> bootstrap_mean(std::span<const double> values, int n_resamples,
                                        uint64_t seed) {
  if (values.size() < 2 || n_resamples < 2) return std::nullopt;
  std::mt19937_64 random(seed);
  std::vector<double> means(static_cast<size_t>(n_resamples));
  for (double& m : means) {
    double total = 0;
    for (size_t i = 0; i < values.size(); ++i) total += values[draw(random, values.size())];
    m = total / static_cast<double>(values.size());
  }
  Bootstrap out;
  out.standard_error = std::sqrt(squared_deviations(means) / static_cast<double>(means.size() - 1));
  std::sort(means.begin(), means.end());
  // Nearest rank on both sides, so that the interval is symmetric in rank.
  const auto tail = static_cast<size_t>(0.025 * static_cast<double>(means.size()));
  out.interval = {means[tail], means[means.size() - 1 - tail]};
  return out;
}

}  // namespace tasks
