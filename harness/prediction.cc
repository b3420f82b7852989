#include "harness/prediction.h"

#include <algorithm>
#include <optional>
#include <span>

#include "tasks/ranks.h"

namespace harness {
namespace {

// drawn(of): bootstrap of a function of chosen queries.
template <class Drawn>
PredictionReport::Calibration calibration(const std::vector<const AuditedQuery*>& queries,
                                          const std::vector<int32_t>& ks, const Drawn& drawn) {
  std::vector<size_t> all(queries.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  std::vector<double> p, y;
  const auto gather = [&](const std::vector<size_t>& members) {
    p.clear();
    y.clear();
    for (const size_t i : members)
      for (const int32_t k : ks)
        if (const auto found = queries[i]->p_k.find(k); found != queries[i]->p_k.end()) {
          p.push_back(found->second);
          y.push_back(queries[i]->need->correct.at(k));
        }
  };
  PredictionReport::Calibration out;
  gather(all);
  out.n = static_cast<int64_t>(p.size());
  if (out.n == 0) return out;
  out.reliability = tasks::reliability(p, y, tasks::kCalibrationBins);
  out.brier = drawn([&](const std::vector<size_t>& members) {
    gather(members);
    return tasks::brier(p, y);
  });
  out.ece = drawn([&](const std::vector<size_t>& members) {
    gather(members);
    return tasks::expected_calibration_error(p, y);
  });
  // Drawing questions twice adds noise within the bins, which |stated - happened| takes for error.
  const auto& ece = out.ece.interval;
  if (ece && (*out.ece.value < ece->lower || *out.ece.value > ece->upper)) out.ece.interval.reset();
  return out;
}

}  // namespace

PredictionReport prediction_report(const std::vector<const AuditedQuery*>& queries,
                                   const std::vector<int32_t>& grid) {
  PredictionReport r;
  r.n = static_cast<int64_t>(queries.size());
  r.by_complexity = std::all_of(queries.begin(), queries.end(),
                                [](const auto* q) { return q->complexity.has_value(); });
  std::vector<double> predicted, need;
  std::vector<bool> finite;
  for (const auto* q : queries) {
    const auto stable = q->need->k_stable(grid);
    predicted.push_back(r.by_complexity ? *q->complexity : q->k);
    need.push_back(stable.value_or(grid.back() + 1));
    finite.push_back(stable.has_value());
    r.n_finite += stable.has_value();
  }
  std::vector<std::vector<size_t>> clusters;
  for (auto& [item, members] : by_seed_item(queries)) clusters.push_back(members);
  using Of = std::optional<double> (*)(std::span<const double>, std::span<const double>);
  const auto drawn = [&](auto&& of) {
    return tasks::bootstrap_draws(static_cast<int64_t>(clusters.size()),
                                  [&](std::span<const int64_t> chosen) {
                                    std::vector<size_t> members;
                                    for (const int64_t c : chosen)
                                      for (const size_t i : clusters[static_cast<size_t>(c)])
                                        members.push_back(i);
                                    return of(members);
                                  });
  };
  const auto correlation = [&](Of of, bool finite_only) {
    return drawn([&, of, finite_only](const std::vector<size_t>& members) {
      std::vector<double> a, b;
      for (const size_t i : members)
        if (!finite_only || finite[i]) {
          a.push_back(predicted[i]);
          b.push_back(need[i]);
        }
      return of(a, b);
    });
  };
  r.spearman = correlation(tasks::spearman, false);
  r.kendall = correlation(tasks::kendall_b, false);
  r.spearman_finite = correlation(tasks::spearman, true);
  for (const int32_t k : grid) {
    PredictionReport::OfK of_k;
    of_k.k = k;
    const bool stated = std::all_of(queries.begin(), queries.end(),
                                    [k](const auto* q) { return q->p_k.contains(k); });
    of_k.auroc = drawn([&](const std::vector<size_t>& members) {
      std::vector<double> scores;
      std::vector<bool> fails;
      for (const size_t i : members) {
        const auto& p_k = queries[i]->p_k;
        scores.push_back(stated ? 1 - p_k.at(k) : predicted[i]);
        fails.push_back(!queries[i]->need->reliable(k));
      }
      return tasks::auroc(scores, fails);
    });
    of_k.calibration = calibration(queries, {k}, drawn);
    r.by_k.push_back(of_k);
  }
  r.pooled = calibration(queries, grid, drawn);
  return r;
}

}  // namespace harness
