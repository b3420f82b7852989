#include "tasks/percentile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

namespace tasks {
namespace {

// std::lgamma writes a global sign.
double log_factorial(double x) {
  int sign = 0;
  return lgamma_r(x + 1, &sign);
}

// P(X = k) of Binomial(n, p), 0 < p < 1.
double binomial_pmf(int64_t k, int64_t n, double p) {
  const auto x = static_cast<double>(k), m = static_cast<double>(n);
  return std::exp(log_factorial(m) - log_factorial(x) - log_factorial(m - x) + x * std::log(p) +
                  (m - x) * std::log1p(-p));
}

// P(X <= k), summed from the thin end: the callers ask about tails.
double binomial_cdf(int64_t k, int64_t n, double p) {
  double total = 0;
  for (int64_t i = 0; i <= k; ++i) total += binomial_pmf(i, n, p);
  return std::min(total, 1.0);
}

// The largest k with P(X <= k) <= tail, or -1.
int64_t largest_in_tail(int64_t n, double p, double tail) {
  double total = 0;
  for (int64_t k = 0; k <= n; ++k) {
    total += binomial_pmf(k, n, p);
    if (total > tail) return k - 1;
  }
  return n;
}

}  // namespace

int64_t nearest_rank(int64_t n, double p) {
  assert(n >= 1 && p > 0 && p < 1);
  // 0.07 * 100 is 7.000000000000001: a product within rounding of an integer is that integer.
  const double product = p * static_cast<double>(n);
  const double whole = std::round(product);
  const double rank = std::abs(product - whole) <= 1e-12 * product ? whole : std::ceil(product);
  return std::clamp<int64_t>(static_cast<int64_t>(rank), 1, n);
}

RankInterval quantile_ranks(int64_t n, double p, double tail) {
  assert(n >= 1 && p > 0 && p < 1);
  // X, the number of values below the quantile, is Binomial(n, p). The l-th smallest value is
  // above the quantile when X <= l - 1; the u-th smallest is below it when X >= u, which is
  // n - X <= n - u with n - X from Binomial(n, 1 - p).
  RankInterval out;
  const int64_t below = largest_in_tail(n, p, tail) + 1;
  const int64_t above = largest_in_tail(n, 1 - p, tail) + 1;
  if (below >= 1) out.lower = below;
  if (above >= 1) out.upper = n + 1 - above;
  return out;
}

int64_t samples_needed(double p, double tail) {
  assert(p > 0 && p < 1);
  const double rarer = std::max(p, 1 - p);
  auto n = static_cast<int64_t>(std::log(tail) / std::log(rarer));
  while (std::pow(rarer, static_cast<double>(n)) > tail) ++n;
  return std::max<int64_t>(n, 1);
}

Percentile percentile(std::span<const double> values, double p) {
  Percentile out;
  out.p = p;
  out.n = static_cast<int64_t>(values.size());
  out.needs_n = samples_needed(p);
  if (out.n < out.needs_n) return out;
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](int64_t rank) { return sorted[static_cast<size_t>(rank - 1)]; };
  const RankInterval ranks = quantile_ranks(out.n, p);
  if (!ranks.lower || !ranks.upper) return out;
  out.value = at(nearest_rank(out.n, p));
  out.interval = Interval{at(*ranks.lower), at(*ranks.upper)};
  return out;
}

std::string format_percentile(const Percentile& p, int precision) {
  if (!p.value) return fmt::format("n/a (needs {})", p.needs_n);
  return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", *p.value, precision, p.interval->lower,
                     precision, p.interval->upper, precision);
}

bool supports_quantile_claim(int64_t n, int64_t n_over, double p, double risk) {
  assert(n >= 0 && n_over >= 0 && p > 0 && p < 1);
  return n > n_over && binomial_cdf(n_over, n, 1 - p) <= risk;
}

int64_t claim_samples_needed(int64_t n_over, double p, double risk) {
  int64_t high = 1;
  while (!supports_quantile_claim(high, n_over, p, risk)) high *= 2;
  int64_t low = high / 2;  // does not support the claim, or is 0
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (supports_quantile_claim(middle, n_over, p, risk) ? high : low) = middle;
  }
  return high;
}

}  // namespace tasks
