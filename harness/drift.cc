#include "harness/drift.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "tasks/multiple_tests.h"
#include "tasks/normal.h"
#include "tasks/paired.h"

namespace harness {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

bool need_known(const AuditedQuery& q, const std::vector<int32_t>& grid) {
  return q.need != nullptr && q.need->need(grid).has_value();
}

double ratio(double a, double b) { return b > 0 ? a / b : kNone; }

double regret(const AuditedQuery& q, const std::vector<int32_t>& grid, double lambda) {
  const double full = q.need->flops.at(grid.back());
  double best = -std::numeric_limits<double>::infinity();
  for (const int32_t k : grid)
    best = std::max(best, (q.need->reliable(k) ? 1.0 : 0.0) - lambda * q.need->flops.at(k) / full);
  return std::max(0.0, best - ((right_as_granted(q, grid) ? 1.0 : 0.0) - lambda * q.flops / full));
}

// Two-sided, of a mean over independent items being 0. No spread at all: certain, unless it is 0.
double z_test(const std::vector<double>& values) {
  const auto mean = tasks::mean(values), se = tasks::standard_error(values);
  if (!mean || !se) return 1;
  if (*se == 0) return *mean == 0 ? 1 : 0;
  return 2 * tasks::normal_cdf(-std::abs(*mean / *se));
}

enum Sum : size_t {
  kN,
  kDrift,
  kSame,
  kJump,
  kBoth,
  kNeedDrift,
  kExcess,
  kFlops,
  kCleanFlops,
  kRight,
  kCleanRight,
  kKnown,
  kSmallest,
  kFull,
  kRegret,
  kKnownFlops,  // of the shifted queries that count in kSmallest and kFull
  kWidth
};
enum Statistic : size_t {
  sDrift,
  sStable,
  sJumps,
  sNeedDrift,
  sExcess,
  sFlops,
  sAccuracy,
  sDrop,
  sAdaptivity,
  sRegret,
  sCount
};

void statistics(std::span<const double> s, std::span<double> out) {
  out[sDrift] = ratio(s[kDrift], s[kN]);
  out[sStable] = ratio(s[kSame], s[kN]);
  out[sJumps] = ratio(s[kJump], s[kN]);
  out[sNeedDrift] = ratio(s[kNeedDrift], s[kBoth]);
  out[sExcess] = ratio(s[kExcess], s[kBoth]);
  out[sFlops] = ratio(s[kFlops], s[kCleanFlops]);
  out[sAccuracy] = ratio(s[kRight] - s[kCleanRight], s[kN]);
  out[sDrop] = 1 - ratio(s[kRight], s[kCleanRight]);
  out[sAdaptivity] = s[kFull] > s[kSmallest]
                         ? 1 - (s[kKnownFlops] - s[kSmallest]) / (s[kFull] - s[kSmallest])
                         : kNone;
  out[sRegret] = ratio(s[kRegret], s[kKnown]);
}

void add_pair(const AuditedQuery& clean, const AuditedQuery& shifted,
              const std::vector<int32_t>& grid, double lambda, double* s) {
  const double drift = shifted.k - clean.k;
  s[kN] += 1;
  s[kDrift] += drift;
  s[kSame] += drift == 0;
  s[kJump] += std::abs(drift) >= 2;
  s[kFlops] += shifted.flops;
  s[kCleanFlops] += clean.flops;
  s[kRight] += shifted.right;
  s[kCleanRight] += clean.right;
  if (!need_known(clean, grid) || !need_known(shifted, grid)) return;
  s[kKnown] += 1;
  s[kRegret] += regret(shifted, grid, lambda) - regret(clean, grid, lambda);
  s[kSmallest] += shifted.need->flops.at(grid.front());
  s[kFull] += shifted.need->flops.at(grid.back());
  s[kKnownFlops] += shifted.flops;
  const auto before = clean.need->k_stable(grid), after = shifted.need->k_stable(grid);
  if (!before || !after) return;
  s[kBoth] += 1;
  s[kNeedDrift] += *after - *before;
  s[kExcess] += drift - (*after - *before);
}

DriftReport report_of(const std::string& form,
                      const std::vector<std::pair<const AuditedQuery*, const AuditedQuery*>>& pairs,
                      const std::vector<int32_t>& grid, double lambda) {
  DriftReport r;
  r.form = form;
  r.n = static_cast<int64_t>(pairs.size());
  std::vector<double> rows, drifts;
  tasks::PairedTable verdicts;
  for (const auto& [clean, shifted] : pairs) {
    rows.resize(rows.size() + kWidth);
    double* row = rows.data() + rows.size() - kWidth;
    add_pair(*clean, *shifted, grid, lambda, row);
    r.n_need += row[kBoth] > 0;
    drifts.push_back(shifted->k - clean->k);
    verdicts.both_right += clean->right && shifted->right;
    verdicts.right_to_wrong += clean->right && !shifted->right;
    verdicts.wrong_to_right += !clean->right && shifted->right;
    verdicts.both_wrong += !clean->right && !shifted->right;
  }
  const auto e = tasks::bootstrap_sums(rows, kWidth, sCount, statistics);
  r.drift = e[sDrift];
  r.stable = e[sStable];
  r.jumps = e[sJumps];
  r.need_drift = e[sNeedDrift];
  r.excess = e[sExcess];
  r.flops_ratio = e[sFlops];
  r.accuracy = e[sAccuracy];
  r.drop = e[sDrop];
  r.adaptivity = e[sAdaptivity];
  r.lambda_regret = e[sRegret];
  r.drift_p = r.drift_holm = z_test(drifts);
  r.accuracy_p = r.accuracy_holm = tasks::mcnemar(verdicts).exact_p;
  return r;
}

}  // namespace

std::vector<DriftReport> drift_reports(const std::vector<const AuditedQuery*>& queries,
                                       const std::vector<int32_t>& grid, double lambda) {
  std::map<std::string, const AuditedQuery*> clean;
  std::vector<std::string> forms;
  for (const auto* q : queries) {
    if (q->form == "clean")
      clean.emplace(q->sample, q);
    else if (std::find(forms.begin(), forms.end(), q->form) == forms.end())
      forms.push_back(q->form);
  }
  std::vector<DriftReport> out;
  for (const auto& form : forms) {
    std::vector<std::pair<const AuditedQuery*, const AuditedQuery*>> pairs;
    for (const auto* q : queries)
      if (q->form == form)
        if (const auto found = clean.find(q->sample); found != clean.end())
          pairs.emplace_back(found->second, q);
    if (!pairs.empty()) out.push_back(report_of(form, pairs, grid, lambda));
  }
  return out;
}

void adjust(std::vector<DriftReport*> reports) {
  std::vector<double> drift, accuracy;
  for (const auto* r : reports) {
    drift.push_back(r->drift_p);
    accuracy.push_back(r->accuracy_p);
  }
  const auto drift_holm = tasks::holm(drift), accuracy_holm = tasks::holm(accuracy);
  for (size_t i = 0; i < reports.size(); ++i) {
    reports[i]->drift_holm = drift_holm[i];
    reports[i]->accuracy_holm = accuracy_holm[i];
  }
}

}  // namespace harness
