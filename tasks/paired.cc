#include "tasks/paired.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <random>
#include <vector>

#include "tasks/random_draw.h"

namespace tasks {
namespace {

struct Cluster {
  double sum = 0, n = 0;
};

double mean_of(std::span<const Cluster> clusters) {
  double sum = 0, n = 0;
  for (const Cluster& c : clusters) {
    sum += c.sum;
    n += c.n;
  }
  return sum / n;
}

// The mean without each cluster in turn.
std::vector<double> left_one_out(std::span<const Cluster> clusters) {
  double sum = 0, n = 0;
  for (const Cluster& c : clusters) {
    sum += c.sum;
    n += c.n;
  }
  std::vector<double> out;
  for (const Cluster& c : clusters) out.push_back((sum - c.sum) / (n - c.n));
  return out;
}

bool is_verdict(double difference) {
  return difference == -1 || difference == 0 || difference == 1;
}

}  // namespace

McNemar mcnemar(const PairedTable& t) {
  const int64_t n = t.discordant();
  if (n == 0) return {};
  const int64_t least = std::min(t.right_to_wrong, t.wrong_to_right);
  // P(X = least), X from Binomial(n, 1/2); the thinner terms follow by their ratio.
  int sign = 0;  // std::lgamma would write a global one
  const auto log_factorial = [&sign](int64_t k) {
    return lgamma_r(static_cast<double>(k) + 1, &sign);
  };
  const double seen = std::exp(log_factorial(n) - log_factorial(least) - log_factorial(n - least) -
                               static_cast<double>(n) * std::log(2.0));
  double tail = 0, term = seen;
  for (int64_t k = least; k >= 0 && term > 0; --k) {
    tail += term;
    term *= static_cast<double>(k) / static_cast<double>(n - k + 1);
  }
  return {std::min(1.0, 2 * tail), std::min(1.0, 2 * tail - seen)};
}

double sign_flip_p(std::span<const double> differences) {
  std::vector<double> d;
  double sum = 0, scale = 0;
  for (const double v : differences)
    if (v != 0) {
      d.push_back(v);
      sum += v;
      scale += std::abs(v);
    }
  if (d.empty()) return 1;
  const double far = std::abs(sum) - 1e-12 * scale;  // sums of another order round differently
  const auto flipped = [&](auto&& bit) {
    double s = 0;
    for (size_t i = 0; i < d.size(); ++i) s += bit(i) ? d[i] : -d[i];
    return std::abs(s) >= far;
  };
  constexpr size_t kEnumerated = 16;
  if (d.size() <= kEnumerated) {
    const uint32_t all = 1u << d.size();
    uint32_t as_far = 0;
    for (uint32_t signs = 0; signs < all; ++signs)
      as_far += flipped([&](size_t i) { return (signs >> i & 1) != 0; });
    return static_cast<double>(as_far) / static_cast<double>(all);
  }
  std::mt19937_64 random(kPairedSeed);
  std::vector<uint64_t> bits((d.size() + 63) / 64);
  int as_far = 0;
  for (int b = 0; b < kSignFlips; ++b) {
    for (uint64_t& word : bits) word = random();
    as_far += flipped([&](size_t i) { return (bits[i / 64] >> (i % 64) & 1) != 0; });
  }
  return (as_far + 1.0) / (kSignFlips + 1.0);
}

std::optional<PairedDifference> score_difference(const PairedTable& t, double level) {
  assert(level > 0 && level < 1);
  if (t.n() < 1) return std::nullopt;
  const auto n = static_cast<double>(t.n());
  const auto worse = static_cast<double>(t.right_to_wrong);
  const auto better = static_cast<double>(t.wrong_to_right);
  PairedDifference out;
  out.method = IntervalMethod::score;
  out.n = out.n_clusters = t.n();
  out.difference = (better - worse) / n;
  out.standard_error = std::sqrt(((better + worse) / n - out.difference * out.difference) / n);
  // How many standard errors the data are above a true difference of d. The variance takes the
  // share of right-to-wrong that is most likely under d: the larger root of a quadratic.
  const auto score = [&](double d) {
    const double a = 2 * n, b = (2 * n - better + worse) * d - better - worse;
    const double c = -worse * d * (1 - d);
    const double share = (std::sqrt(std::max(0.0, b * b - 4 * a * c)) - b) / (2 * a);
    const double above = better - worse - n * d;
    const double variance = n * (2 * share + d * (1 - d));
    if (variance > 0) return above / std::sqrt(variance);
    return above > 0 ? HUGE_VAL : above < 0 ? -HUGE_VAL : 0.0;
  };
  const double z = normal_quantile(0.5 + level / 2);
  const auto bound = [&](double inside, double outside, double target) {
    for (int i = 0; i < 100; ++i) {
      const double middle = 0.5 * (inside + outside);
      (std::abs(score(middle)) < target ? inside : outside) = middle;
    }
    return inside;
  };
  out.interval = {bound(out.difference, -1, z), bound(out.difference, 1, z)};
  return out;
}

std::optional<PairedDifference> bootstrap_difference(std::span<const Group> groups, double level,
                                                     int n_resamples, uint64_t seed) {
  assert(level > 0 && level < 1 && n_resamples >= 2);
  std::vector<Cluster> clusters;
  PairedDifference out;
  for (const Group& g : groups) {
    if (g.values.empty()) continue;
    Cluster& c = clusters.emplace_back();
    for (const double v : g.values) c.sum += v;
    c.n = static_cast<double>(g.values.size());
    out.n += static_cast<int64_t>(g.values.size());
  }
  if (clusters.size() < 2) return std::nullopt;
  out.n_clusters = static_cast<int64_t>(clusters.size());
  out.difference = mean_of(clusters);

  std::mt19937_64 random(seed);
  std::vector<double> means(static_cast<size_t>(n_resamples));
  for (double& m : means) {
    Cluster total;
    for (size_t i = 0; i < clusters.size(); ++i) {
      const Cluster& c = clusters[draw(random, clusters.size())];
      total.sum += c.sum;
      total.n += c.n;
    }
    m = total.sum / total.n;
  }
  out.standard_error = *standard_error(means) * std::sqrt(static_cast<double>(n_resamples));
  std::sort(means.begin(), means.end());

  const auto interval = resampled_interval(means, out.difference, left_one_out(clusters), level);
  out.interval = interval.interval;
  out.method = interval.method;
  return out;
}

std::optional<PairedDifference> paired_difference(std::span<const Group> clusters, double level) {
  PairedTable table;  // which of the concordant ones are right does not matter here
  const auto all_zero = [](const Group& g) {
    return std::all_of(g.values.begin(), g.values.end(), [](double v) { return v == 0; });
  };
  if (std::all_of(clusters.begin(), clusters.end(), all_zero)) {
    table.both_right = std::count_if(clusters.begin(), clusters.end(),
                                     [](const Group& g) { return !g.values.empty(); });
    return score_difference(table, level);
  }
  for (const Group& g : clusters) {
    if (g.values.empty()) continue;
    if (g.values.size() > 1 || !is_verdict(g.values[0]))
      return bootstrap_difference(clusters, level);
    ++(g.values[0] < 0   ? table.right_to_wrong
       : g.values[0] > 0 ? table.wrong_to_right
                         : table.both_right);
  }
  return score_difference(table, level);
}

NonInferiority judge_non_inferiority(const Interval& i, double margin) {
  assert(margin > 0);
  if (i.lower > 0) return NonInferiority::improved;
  if (i.lower > -margin)
    return i.upper < 0 ? NonInferiority::worse_within_margin : NonInferiority::non_inferior;
  return i.upper < 0 ? NonInferiority::inferior : NonInferiority::inconclusive;
}

std::string_view non_inferiority_name(NonInferiority outcome) {
  switch (outcome) {
    case NonInferiority::improved:
      return "improved";
    case NonInferiority::non_inferior:
      return "non_inferior";
    case NonInferiority::worse_within_margin:
      return "worse_within_margin";
    case NonInferiority::inferior:
      return "inferior";
    case NonInferiority::inconclusive:
      return "inconclusive";
  }
  return "";
}

double detectable_difference(int64_t n, double psi, double alpha, double power) {
  assert(n >= 1 && psi > 0 && psi <= 1);
  return (normal_quantile(1 - alpha / 2) + normal_quantile(power)) *
         std::sqrt(psi / static_cast<double>(n));
}

int64_t questions_needed(double psi, double margin, double alpha, double power) {
  assert(psi >= 0 && psi <= 1 && margin > 0);
  const double z = normal_quantile(1 - alpha), spread = (z + normal_quantile(power)) / margin;
  return static_cast<int64_t>(
      std::ceil(std::max(psi * spread * spread, z * z * (1 - margin) / margin)));
}

}  // namespace tasks
