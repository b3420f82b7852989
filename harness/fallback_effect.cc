#include "harness/fallback_effect.h"

#include <algorithm>
#include <limits>
#include <map>

namespace harness {
namespace {

enum Sum : size_t { kN, kK, kKWithout, kRight, kRightWithout, kRegret, kRegretWithout, kSums };

double share_right(const SweepQuestion& q, int32_t k) { return q.correct.at(k); }

// Best reward of the grid less that of k.
double regret(const SweepQuestion& q, int32_t k, const std::vector<int32_t>& grid, double lambda) {
  const double full = q.flops.at(grid.back());
  const auto reward = [&](int32_t j) { return share_right(q, j) - lambda * q.flops.at(j) / full; };
  double best = -std::numeric_limits<double>::infinity();
  for (const int32_t j : grid) best = std::max(best, reward(j));
  return best - reward(k);
}

double without_fallback(const AuditedQuery& q) {
  return q.capped ? std::min(*q.k_without_fallback, q.k) : *q.k_without_fallback;
}

bool comparable(const AuditedQuery& q, const std::vector<int32_t>& grid) {
  const auto swept = [&](double k) { return std::find(grid.begin(), grid.end(), k) != grid.end(); };
  return q.ood_flagged && q.need != nullptr && q.uniform && q.k_without_fallback && swept(q.k) &&
         swept(without_fallback(q));
}

}  // namespace

std::vector<FallbackEffect> fallback_effects(const std::vector<const AuditedQuery*>& queries,
                                             const std::vector<int32_t>& grid, double lambda) {
  std::map<std::string, std::vector<const AuditedQuery*>> forms;
  for (const auto* q : queries)
    if (q->ood_score) forms[q->form].push_back(q);
  std::vector<FallbackEffect> out;
  for (const auto& [form, members] : forms) {
    FallbackEffect e;
    e.form = form;
    e.n = static_cast<int64_t>(members.size());
    std::map<std::string, size_t> place;
    std::vector<double> sums;
    for (const auto* q : members) {
      e.flagged += q->ood_flagged;
      if (!comparable(*q, grid)) continue;
      ++e.compared;
      const auto [at, is_new] = place.emplace(q->sample, place.size());
      if (is_new) sums.resize(sums.size() + kSums);
      double* to = &sums[kSums * at->second];
      const auto k = static_cast<int32_t>(q->k), plain = static_cast<int32_t>(without_fallback(*q));
      to[kN] += 1;
      to[kK] += k;
      to[kKWithout] += plain;
      to[kRight] += share_right(*q->need, k);
      to[kRightWithout] += share_right(*q->need, plain);
      to[kRegret] += regret(*q->need, k, grid, lambda);
      to[kRegretWithout] += regret(*q->need, plain, grid, lambda);
    }
    e.seed_items = static_cast<int64_t>(place.size());
    if (e.compared > 0) {
      const auto estimates = tasks::bootstrap_sums(
          sums, kSums, kSums, [](std::span<const double> s, std::span<double> o) {
            for (size_t i = kK; i < kSums; ++i) o[i - 1] = s[i] / s[kN];
            o[kSums - 1] = (s[kRegretWithout] - s[kRegret]) / s[kN];
          });
      e.k = estimates[kK - 1];
      e.k_without = estimates[kKWithout - 1];
      e.accuracy = estimates[kRight - 1];
      e.accuracy_without = estimates[kRightWithout - 1];
      e.regret = estimates[kRegret - 1];
      e.regret_without = estimates[kRegretWithout - 1];
      e.regret_saved = estimates[kSums - 1];
    }
    out.push_back(std::move(e));
  }
  std::stable_partition(out.begin(), out.end(), [](const auto& e) { return e.form == "clean"; });
  return out;
}

}  // namespace harness
