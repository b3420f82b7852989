#include "harness/drift.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tasks/multiple_tests.h"
#include "tasks/paired.h"

namespace harness {
namespace {

using tasks::ratio;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kJump = 2;  // experts

bool swept(const AuditedQuery& q, const std::vector<int32_t>& grid) {
  return q.need != nullptr && std::all_of(grid.begin(), grid.end(), [&](int32_t k) {
           return q.need->as_is.contains(k) && q.need->flops.contains(k);
         });
}

double regret(const AuditedQuery& q, const std::vector<int32_t>& grid, double lambda) {
  const double full = q.need->flops.at(grid.back());
  double best = -std::numeric_limits<double>::infinity();
  for (const int32_t k : grid)
    best = std::max(best, q.need->as_is.at(k) - lambda * q.need->flops.at(k) / full);
  return std::max(0.0, best - ((q.right ? 1.0 : 0.0) - lambda * q.flops / full));
}

enum Sum : size_t {
  kN,
  kDrift,
  kBoth,
  kDriftOfBoth,
  kNeedDrift,
  kExcess,
  kNeutralN,
  kNeutral,
  kFlops,
  kCleanFlops,
  kSwept,
  kRegret,
  kSweptFlops,
  kSmallest,
  kFull,
  kCleanSweptFlops,
  kCleanSmallest,
  kCleanFull,
  kRight,
  kCleanRight,
  kWidth
};
enum Statistic : size_t {
  sDrift,
  sDriftOfBoth,
  sNeedDrift,
  sExcess,
  sNeutral,
  sFlops,
  sDrop,
  sAdaptivity,
  sAdaptivityChange,
  sRegret,
  sCount
};

void statistics(std::span<const double> s, std::span<double> out) {
  const auto saved = [](double spent, double smallest, double full) {
    return full > smallest ? 1 - (spent - smallest) / (full - smallest) : kNone;
  };
  out[sDrift] = ratio(s[kDrift], s[kN]);
  out[sDriftOfBoth] = ratio(s[kDriftOfBoth], s[kBoth]);
  out[sNeedDrift] = ratio(s[kNeedDrift], s[kBoth]);
  out[sExcess] = ratio(s[kExcess], s[kBoth]);
  out[sNeutral] = ratio(s[kNeutral], s[kNeutralN]);
  out[sFlops] = ratio(s[kFlops], s[kCleanFlops]);
  out[sDrop] = 1 - ratio(s[kRight], s[kCleanRight]);
  out[sAdaptivity] = saved(s[kSweptFlops], s[kSmallest], s[kFull]);
  out[sAdaptivityChange] =
      out[sAdaptivity] - saved(s[kCleanSweptFlops], s[kCleanSmallest], s[kCleanFull]);
  out[sRegret] = ratio(s[kRegret], s[kSwept]);
}

double drift_of(const Twins& p) { return p.shifted->k - p.clean->k; }

struct Needs {
  std::optional<int32_t> before, after;
};

Needs needs_of(const Twins& p, const std::vector<int32_t>& grid) {
  if (!swept(*p.clean, grid) || !swept(*p.shifted, grid)) return {};
  return {p.clean->need->k_stable_as_is(grid), p.shifted->need->k_stable_as_is(grid)};
}

void add_pair(const Twins& p, const std::vector<int32_t>& grid, double lambda, double* s) {
  const AuditedQuery &clean = *p.clean, &shifted = *p.shifted;
  s[kRight] += shifted.right;
  s[kCleanRight] += clean.right;
  if (clean.failed || shifted.failed) return;
  s[kN] += 1;
  s[kDrift] += drift_of(p);
  s[kFlops] += shifted.flops;
  s[kCleanFlops] += clean.flops;
  if (p.neutral != nullptr && !p.neutral->failed) {
    s[kNeutralN] += 1;
    s[kNeutral] += shifted.k - p.neutral->k;
  }
  if (!swept(clean, grid) || !swept(shifted, grid)) return;
  s[kSwept] += 1;
  s[kRegret] += regret(shifted, grid, lambda) - regret(clean, grid, lambda);
  s[kSweptFlops] += shifted.flops;
  s[kSmallest] += shifted.need->flops.at(grid.front());
  s[kFull] += shifted.need->flops.at(grid.back());
  s[kCleanSweptFlops] += clean.flops;
  s[kCleanSmallest] += clean.need->flops.at(grid.front());
  s[kCleanFull] += clean.need->flops.at(grid.back());
  const auto [before, after] = needs_of(p, grid);
  if (!before || !after) return;
  s[kBoth] += 1;
  s[kDriftOfBoth] += drift_of(p);
  s[kNeedDrift] += *after - *before;
  s[kExcess] += drift_of(p) - (*after - *before);
}

DriftReport report_of(const std::string& form, const std::vector<Twins>& pairs,
                      const std::vector<int32_t>& grid, double lambda) {
  DriftReport r;
  r.form = form;
  std::vector<double> rows, drifts, excess;
  tasks::PairedTable verdicts;
  int64_t same = 0, jumps = 0;
  for (const Twins& p : pairs) {
    rows.resize(rows.size() + kWidth);
    add_pair(p, grid, lambda, rows.data() + rows.size() - kWidth);
    verdicts.both_right += p.clean->right && p.shifted->right;
    verdicts.right_to_wrong += p.clean->right && !p.shifted->right;
    verdicts.wrong_to_right += !p.clean->right && p.shifted->right;
    verdicts.both_wrong += !p.clean->right && !p.shifted->right;
    if (p.clean->failed || p.shifted->failed) {
      ++r.failed;
      continue;
    }
    ++r.n;
    same += drift_of(p) == 0;
    jumps += std::abs(drift_of(p)) >= kJump;
    drifts.push_back(drift_of(p));
    const auto [before, after] = needs_of(p, grid);
    r.lost += before && !after;
    r.gained += !before && after;
    if (!before || !after) continue;
    ++r.n_need;
    excess.push_back(drift_of(p) - (*after - *before));
  }
  const auto e = tasks::bootstrap_sums(rows, kWidth, sCount, statistics);
  r.drift = e[sDrift];
  r.drift_of_need_n = e[sDriftOfBoth];
  r.same_k = tasks::share(same, r.n);
  r.jumps = tasks::share(jumps, r.n);
  r.need_drift = e[sNeedDrift];
  r.excess = e[sExcess];
  r.beside_neutral = e[sNeutral];
  r.flops_ratio = e[sFlops];
  r.drop = e[sDrop];
  r.adaptivity = e[sAdaptivity];
  r.adaptivity_change = e[sAdaptivityChange];
  r.regret_change = e[sRegret];
  r.to_wrong = verdicts.right_to_wrong;
  r.to_right = verdicts.wrong_to_right;
  if (const auto d = tasks::score_difference(verdicts, tasks::kResampleLevel)) {
    r.accuracy.value = d->difference;
    r.accuracy.interval = d->interval;
    r.accuracy.method = d->method;
    r.accuracy.n = d->n;
  }
  r.drift_p = tasks::sign_flip_p(drifts);
  r.excess_p = tasks::sign_flip_p(excess);
  r.accuracy_p = tasks::mcnemar(verdicts).exact_p;
  return r;
}

}  // namespace

std::vector<DriftReport> drift_reports(const std::vector<TwinsOfForm>& forms,
                                       const std::vector<int32_t>& grid, double lambda) {
  std::vector<DriftReport> out;
  for (const TwinsOfForm& f : forms) out.push_back(report_of(f.form, f.pairs, grid, lambda));
  return out;
}

void adjust(std::vector<DriftReport*> reports) {
  std::vector<double> drift, excess, accuracy;
  for (const auto* r : reports) {
    drift.push_back(r->drift_p);
    excess.push_back(r->excess_p);
    accuracy.push_back(r->accuracy_p);
  }
  const auto drift_holm = tasks::holm(drift), excess_holm = tasks::holm(excess),
             accuracy_holm = tasks::holm(accuracy);
  for (size_t i = 0; i < reports.size(); ++i) {
    reports[i]->drift_holm = drift_holm[i];
    reports[i]->excess_holm = excess_holm[i];
    reports[i]->accuracy_holm = accuracy_holm[i];
  }
}

}  // namespace harness
