// Owns percentiles with the evidence behind them: a percentile that the sample cannot support is
// not a number but "n/a (needs n)".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "tasks/metrics.h"

namespace tasks {

// The ceil(p n)-th smallest of n values (nearest rank); 0 < p < 1, n >= 1.
int64_t nearest_rank(int64_t n, double p);

// 1-based ranks of the order statistics that bound the p-quantile of the distribution the sample
// came from, each side missing it with probability at most `tail`. No distribution is assumed,
// independence is. A bound that n values cannot give is absent.
struct RankInterval {
  std::optional<int64_t> lower, upper;
};
RankInterval quantile_ranks(int64_t n, double p, double tail = 0.025);

// The smallest n whose two-sided 95% interval has both bounds: 36 for p90, 368 for p99.
int64_t samples_needed(double p, double tail = 0.025);

struct Percentile {
  double p = 0;
  int64_t n = 0, needs_n = 0;
  std::optional<double> value;       // absent when n < needs_n
  std::optional<Interval> interval;  // 95%; present with value
};
// values in any order.
Percentile percentile(std::span<const double> values, double p);
// "12.3 [11.9, 14.0]" in `precision` decimals, or "n/a (needs 368)".
std::string format_percentile(const Percentile&, int precision = 1);

// One-sided claim "the p-quantile is at most L" at 99% confidence, from how many of n values were
// over L: accepted when P(X <= n_over | n, 1 - p) <= risk (MLPerf's early stopping). 459 values
// with none over support a p99, 662 with one.
bool supports_quantile_claim(int64_t n, int64_t n_over, double p, double risk = 0.01);
int64_t claim_samples_needed(int64_t n_over, double p, double risk = 0.01);

}  // namespace tasks
