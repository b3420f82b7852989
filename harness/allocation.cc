#include "harness/allocation.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/train/outcome.h"
#include "tasks/calibration.h"
#include "tasks/ranks.h"

namespace harness {
namespace {

using tasks::ratio;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
// Lambdas at which the oracle's frontier is traced: 0.001 to 10.
constexpr int kFrontier = 17;
double frontier_lambda(int i) { return std::pow(10.0, -3 + 0.25 * i); }

// Swept k next below k_stable; 0 when k_stable is the smallest.
double k_prev(int32_t stable, const std::vector<int32_t>& grid) {
  double out = 0;
  for (const int32_t k : grid)
    if (k < stable) out = k;
  return out;
}

double full_flops(const AuditedQuery& q, const std::vector<int32_t>& grid) {
  return q.need->flops.at(grid.back());
}

// Chance that a question which is right in `share` of `ways` independent ways is reliably so.
double reliable_by_luck(double share, int ways) {
  double p = 0;
  for (int right = 0; right <= ways; ++right) {
    if (static_cast<double>(right) < kReliable * ways) continue;
    p += std::exp(std::lgamma(ways + 1.0) - std::lgamma(right + 1.0) -
                  std::lgamma(ways - right + 1.0)) *
         std::pow(share, right) * std::pow(1 - share, ways - right);
  }
  return p;
}

std::optional<double> violations_of_noise(const std::vector<const AuditedQuery*>& queries,
                                          const std::vector<int32_t>& grid) {
  double sum = 0;
  for (const auto* q : queries) {
    std::vector<double> reliable;
    for (const int32_t k : grid) {
      const int ways = q->need->graded.at(k);
      if (ways < 2) return std::nullopt;
      const double share = (q->need->correct.at(k) * ways + 0.5) / (ways + 1.0);
      reliable.push_back(reliable_by_luck(share, ways));
    }
    for (size_t i = 0; i + 1 < grid.size(); ++i)
      sum += reliable[i] * (1 - reliable[i + 1]) / static_cast<double>(grid.size() - 1);
  }
  return queries.empty() ? std::nullopt : std::optional(sum / static_cast<double>(queries.size()));
}

// Right at a swept k, by the yardstick of the report.
bool right_at(const SweepQuestion& q, int32_t k, bool as_is) {
  if (!as_is) return q.reliable(k);
  const auto found = q.as_is.find(k);
  return found != q.as_is.end() && found->second >= kReliable;
}

bool right_as_granted(const AuditedQuery& q, const std::vector<int32_t>& grid, bool as_is) {
  if (!as_is)
    for (const int32_t k : grid)
      if (q.k == k) return q.need->reliable(k);
  return q.right;
}

// Sums per seed item; statistics are functions of them.
enum Sum : size_t {
  kN,
  kRight,
  kK,
  kFlops,
  kFull,
  kShareOfFull,
  kFinite,
  kUnder,
  kUnderByCap,
  kOver,
  kWaste,
  kExtra,
  kFutile,
  kHarm,
  kBest,
  kLargest,
  kRegret,
  kViolations,
  kFirstOfGrid
};

enum Statistic : size_t {
  sAccuracy,
  sK,
  sCost,
  sCostPerQuery,
  sUnder,
  sUnderByCap,
  sOver,
  sWaste,
  sFutile,
  sHarm,
  sAccuracyRegret,
  sFullRegret,
  sLambdaRegret,
  sGain,
  sGap,
  sViolations,
  sCount
};

struct Layout {
  size_t n_k;
  size_t right(size_t i) const { return kFirstOfGrid + 2 * i; }
  size_t flops(size_t i) const { return kFirstOfGrid + 2 * i + 1; }
  size_t oracle_right(size_t i) const { return kFirstOfGrid + 2 * (n_k + i); }
  size_t oracle_flops(size_t i) const { return kFirstOfGrid + 2 * (n_k + i) + 1; }
  size_t width() const { return kFirstOfGrid + 2 * (n_k + kFrontier); }
};

void add_query(const AuditedQuery& q, const std::vector<int32_t>& grid, double lambda, bool as_is,
               const Layout& at, double* s) {
  const SweepQuestion& need = *q.need;
  const double full = full_flops(q, grid);
  const bool right = right_as_granted(q, grid, as_is);
  const auto stable = need.k_stable(grid);
  double best_reward = -std::numeric_limits<double>::infinity();
  bool any = false, smaller = false;
  s[kN] += 1;
  for (size_t i = 0; i < grid.size(); ++i) {
    const bool y = right_at(need, grid[i], as_is);
    const double flops = need.flops.at(grid[i]);
    any |= y;
    smaller |= y && grid[i] < q.k;
    best_reward = std::max(best_reward, (y ? 1.0 : 0.0) - lambda * flops / full);
    s[at.right(i)] += y;
    s[at.flops(i)] += flops;
    if (i + 1 < grid.size() && y && !right_at(need, grid[i + 1], as_is))
      s[kViolations] += 1.0 / static_cast<double>(grid.size() - 1);
  }
  for (int f = 0; f < kFrontier; ++f) {
    double best = -std::numeric_limits<double>::infinity();
    size_t chosen = 0;
    for (size_t i = 0; i < grid.size(); ++i) {
      const double reward =
          (need.reliable(grid[i]) ? 1.0 : 0.0) - frontier_lambda(f) * need.flops.at(grid[i]) / full;
      if (reward <= best) continue;
      best = reward;
      chosen = i;
    }
    s[at.oracle_right(static_cast<size_t>(f))] += right_at(need, grid[chosen], as_is);
    s[at.oracle_flops(static_cast<size_t>(f))] += need.flops.at(grid[chosen]);
  }
  const double reward = (right ? 1.0 : 0.0) - lambda * q.flops / full;
  // A predictor's own FLOPs are no extra experts.
  const double extra =
      q.k > grid.front() ? std::max(0.0, q.flops - need.flops.at(grid.front())) : 0;
  s[kRight] += right;
  s[kK] += q.k;
  s[kFlops] += q.flops;
  s[kFull] += full;
  s[kShareOfFull] += q.flops / full;
  s[kExtra] += extra;
  if (!any) s[kFutile] += extra;
  s[kHarm] += !right && smaller;
  s[kBest] += any;
  s[kLargest] += right_at(need, grid.back(), as_is);
  s[kRegret] += std::max(0.0, best_reward - reward);
  if (!stable) return;
  const bool under = !right && q.k < *stable;
  s[kFinite] += 1;
  s[kUnder] += under;
  s[kUnderByCap] += under && q.capped && q.k_uncapped > k_prev(*stable, grid);
  s[kOver] += q.k > *stable;
  if (q.k > *stable) s[kWaste] += std::max(0.0, q.flops - need.flops.at(*stable)) / full;
}

void statistics(std::span<const double> s, const Layout& at, std::span<double> out) {
  const double n = s[kN];
  out[sAccuracy] = ratio(s[kRight], n);
  out[sK] = ratio(s[kK], n);
  out[sCost] = ratio(s[kFlops], s[kFull]);
  out[sCostPerQuery] = ratio(s[kShareOfFull], n);
  out[sUnder] = ratio(s[kUnder], s[kFinite]);
  out[sUnderByCap] = ratio(s[kUnderByCap], s[kFinite]);
  out[sOver] = ratio(s[kOver], s[kFinite]);
  out[sWaste] = ratio(s[kWaste], n);
  out[sFutile] = ratio(s[kFutile], s[kExtra]);
  out[sHarm] = ratio(s[kHarm], n);
  out[sAccuracyRegret] = ratio(s[kBest] - s[kRight], n);
  out[sFullRegret] = ratio(s[kLargest] - s[kRight], n);
  out[sLambdaRegret] = ratio(s[kRegret], n);
  out[sViolations] = ratio(s[kViolations], n);
  std::vector<double> cost, accuracy, oracle_cost, oracle_accuracy;
  for (size_t i = 0; i < at.n_k; ++i) {
    cost.push_back(s[at.flops(i)] / s[kFull]);
    accuracy.push_back(s[at.right(i)] / n);
  }
  for (size_t i = 0; i < kFrontier; ++i) {
    oracle_cost.push_back(s[at.oracle_flops(i)] / s[kFull]);
    oracle_accuracy.push_back(s[at.oracle_right(i)] / n);
  }
  const double spent = s[kFlops] / s[kFull];
  const double hull = engine::train::StaticHull(cost, accuracy).accuracy_at(spent);
  const double oracle = engine::train::StaticHull(oracle_cost, oracle_accuracy).accuracy_at(spent);
  out[sGain] = s[kRight] / n - hull;
  out[sGap] = oracle - hull > 1e-9 ? out[sGain] / (oracle - hull) : kNone;
}

}  // namespace

std::map<std::string, std::vector<size_t>> by_seed_item(
    const std::vector<const AuditedQuery*>& queries) {
  std::map<std::string, std::vector<size_t>> out;
  for (size_t i = 0; i < queries.size(); ++i)
    out[queries[i]->task + ":" + queries[i]->sample].push_back(i);
  return out;
}

const char* allocation_name(Allocation a) {
  static constexpr const char* kNames[] = {"exact",    "over",  "under",    "capped",
                                           "boundary", "lucky", "unstable", "hopeless"};
  return kNames[static_cast<int>(a)];
}

Allocation classify(const AuditedQuery& q, const std::vector<int32_t>& grid) {
  const auto stable = q.need->k_stable(grid);
  if (!stable) return q.right ? Allocation::lucky : Allocation::hopeless;
  const double previous = k_prev(*stable, grid);
  if (q.k <= previous && q.right) return Allocation::lucky;
  if (!q.right && q.capped && q.k < *stable && q.k_uncapped > previous) return Allocation::capped;
  if (q.k <= previous) return Allocation::under;
  if (!q.right) return q.k < *stable ? Allocation::boundary : Allocation::unstable;
  return q.k > *stable ? Allocation::over : Allocation::exact;
}

bool was_swept(const AuditedQuery& q, const std::vector<int32_t>& grid) {
  return q.uniform && std::any_of(grid.begin(), grid.end(), [&](int32_t k) { return q.k == k; });
}

std::vector<double> lambda_regrets(const std::vector<const AuditedQuery*>& queries,
                                   const std::vector<int32_t>& grid, double lambda) {
  const bool as_is = std::any_of(queries.begin(), queries.end(),
                                 [&](const auto* q) { return !was_swept(*q, grid); });
  const Layout at{grid.size()};
  std::vector<double> out;
  for (const auto* q : queries) {
    std::vector<double> sums(at.width());
    add_query(*q, grid, lambda, as_is, at, sums.data());
    out.push_back(sums[kRegret]);
  }
  return out;
}

AllocationReport allocation_report(const std::vector<const AuditedQuery*>& queries,
                                   const std::vector<int32_t>& grid, double lambda) {
  AllocationReport r;
  r.n = static_cast<int64_t>(queries.size());
  if (queries.empty()) return r;
  const Layout at{grid.size()};
  r.ways = std::numeric_limits<int>::max();
  r.k_min = r.k_max = queries.front()->k;
  for (const auto* q : queries) {
    for (const auto& [k, n] : q->need->graded) r.ways = std::min(r.ways, n);
    r.n_stable += q->need->k_stable(grid).has_value();
    r.n_not_swept += !was_swept(*q, grid);
    r.k_min = std::min(r.k_min, q->k);
    r.k_max = std::max(r.k_max, q->k);
  }
  const auto items = by_seed_item(queries);
  std::vector<double> rows;
  for (const auto& [item, members] : items) {
    rows.resize(rows.size() + at.width());
    for (const size_t i : members)
      add_query(*queries[i], grid, lambda, r.n_not_swept > 0, at,
                rows.data() + rows.size() - at.width());
  }
  for (const auto* q : queries) {
    ++r.needs[*q->need->need(grid)];
    ++r.classes[classify(*q, grid)];
  }
  std::vector<double> total(at.width());
  for (size_t i = 0; i < rows.size(); ++i) total[i % at.width()] += rows[i];
  for (size_t i = 0; i < grid.size(); ++i)
    r.statics.push_back(
        {grid[i], total[at.right(i)] / total[kN], total[at.flops(i)] / total[kFull]});
  const auto e = tasks::bootstrap_sums(rows, at.width(), sCount,
                                       [&](auto sums, auto out) { statistics(sums, at, out); });
  r.accuracy = e[sAccuracy];
  r.mean_k = e[sK];
  r.cost = e[sCost];
  r.cost_per_query = e[sCostPerQuery];
  r.under = e[sUnder];
  r.under_by_cap = e[sUnderByCap];
  r.over = e[sOver];
  r.waste = e[sWaste];
  r.futile = e[sFutile];
  r.inverse_harm = e[sHarm];
  r.accuracy_regret = e[sAccuracyRegret];
  r.full_regret = e[sFullRegret];
  r.lambda_regret = e[sLambdaRegret];
  r.gain = e[sGain];
  r.gap_closed = e[sGap];
  r.violations = e[sViolations];
  r.violations_of_noise = violations_of_noise(queries, grid);
  if (items.size() == queries.size()) {  // one query an item: shares of independent items
    const auto of = [&](Sum hits, Sum n) {
      return tasks::share(std::llround(total[hits]), std::llround(total[n]));
    };
    r.accuracy = of(kRight, kN);
    r.under = of(kUnder, kFinite);
    r.under_by_cap = of(kUnderByCap, kFinite);
    r.over = of(kOver, kFinite);
    r.inverse_harm = of(kHarm, kN);
  }
  return r;
}

}  // namespace harness
