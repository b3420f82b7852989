#include "harness/graded.h"

#include <map>
#include <optional>

#include "tasks/multiple_tests.h"
#include "tasks/paired.h"

namespace harness {
namespace {

using tasks::ratio;

std::optional<double> regret_of(const AuditedQuery& q, const std::vector<int32_t>& grid) {
  if (!q.gold_nll || q.need == nullptr) return std::nullopt;
  const auto full = q.need->as_is_nll.find(grid.back());
  if (full == q.need->as_is_nll.end()) return std::nullopt;
  return *q.gold_nll - full->second;
}

GradedDrift drift_of(const TwinsOfForm& form, const std::vector<int32_t>& grid) {
  enum { kN, kChange, kSwept, kRegret, kWidth };
  GradedDrift d;
  d.form = form.form;
  std::vector<double> rows, changes;
  for (const Twins& p : form.pairs) {
    if (!p.clean->gold_nll || !p.shifted->gold_nll) continue;
    ++d.n;
    changes.push_back(*p.shifted->gold_nll - *p.clean->gold_nll);
    const auto before = regret_of(*p.clean, grid), after = regret_of(*p.shifted, grid);
    const bool swept = before && after;
    d.n_swept += swept;
    rows.insert(rows.end(), {1, changes.back(), swept ? 1.0 : 0.0, swept ? *after - *before : 0});
  }
  if (d.n == 0) return d;
  const auto e = tasks::bootstrap_sums(rows, kWidth, 2, [](auto s, auto o) {
    o[0] = ratio(s[kChange], s[kN]);
    o[1] = ratio(s[kRegret], s[kSwept]);
  });
  d.nll_change = e[0];
  d.regret_change = e[1];
  d.p = tasks::sign_flip_p(changes);
  return d;
}

}  // namespace

GradedReport graded_report(const std::vector<const AuditedQuery*>& queries,
                           const std::vector<int32_t>& grid) {
  enum { kN, kNll, kRegret, kWidth };
  GradedReport out;
  std::map<std::string, std::vector<double>> items;
  for (const auto* q : queries) {
    const auto regret = regret_of(*q, grid);
    if (!regret) continue;
    ++out.n;
    auto& sums = items[q->sample];
    sums.resize(kWidth);
    sums[kN] += 1;
    sums[kNll] += *q->gold_nll;
    sums[kRegret] += *regret;
  }
  if (out.n == 0) return out;
  std::vector<double> rows;
  for (const auto& [sample, sums] : items) rows.insert(rows.end(), sums.begin(), sums.end());
  const auto e = tasks::bootstrap_sums(rows, kWidth, 2, [](auto s, auto o) {
    o[0] = ratio(s[kNll], s[kN]);
    o[1] = ratio(s[kRegret], s[kN]);
  });
  out.nll = e[0];
  out.regret = e[1];
  return out;
}

std::vector<GradedDrift> graded_drifts(const std::vector<TwinsOfForm>& forms,
                                       const std::vector<int32_t>& grid) {
  std::vector<GradedDrift> out;
  for (const TwinsOfForm& f : forms) {
    out.push_back(drift_of(f, grid));
    if (out.back().n == 0) out.pop_back();
  }
  return out;
}

void adjust(std::vector<GradedDrift*> drifts) {
  std::vector<double> p;
  for (const auto* d : drifts) p.push_back(d->p);
  const auto adjusted = tasks::holm(p);
  for (size_t i = 0; i < drifts.size(); ++i) drifts[i]->p_holm = adjusted[i];
}

}  // namespace harness
