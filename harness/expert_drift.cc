#include "harness/expert_drift.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

namespace harness {
namespace {

using tasks::ratio;

double sum_of(std::span<const uint32_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), 0.0);
}

// Distance of each layer where both sides chose; NaN elsewhere. Nothing: no layer where they did.
std::optional<std::vector<double>> layer_distances(const results::ExpertCounts& a,
                                                   const results::ExpertCounts& b,
                                                   int64_t n_shared) {
  if (a.n_layers != b.n_layers || a.n_experts != b.n_experts || n_shared >= a.n_experts)
    return std::nullopt;
  std::vector<double> out;
  bool any = false;
  const auto routed = static_cast<size_t>(a.n_experts - n_shared);
  for (int64_t layer = 0; layer < a.n_layers; ++layer) {
    const auto at = static_cast<size_t>(layer * a.n_experts + n_shared);
    const auto x = std::span(a.tokens).subspan(at, routed),
               y = std::span(b.tokens).subspan(at, routed);
    const bool chose = sum_of(x) > 0 && sum_of(y) > 0;
    any |= chose;
    out.push_back(chose ? jensen_shannon_distance(x, y) : std::numeric_limits<double>::quiet_NaN());
  }
  if (!any) return std::nullopt;
  return out;
}

double mean_of(const std::vector<double>& layers) {
  double sum = 0, n = 0;
  for (const double d : layers)
    if (!std::isnan(d)) sum += d, n += 1;
  return sum / n;
}

}  // namespace

double jensen_shannon_distance(std::span<const uint32_t> a, std::span<const uint32_t> b) {
  const double total_a = sum_of(a), total_b = sum_of(b);
  double divergence = 0;
  const auto add = [&](double p, double middle) {
    if (p > 0) divergence += p * std::log2(p / middle) / 2;
  };
  for (size_t i = 0; i < a.size(); ++i) {
    const double p = a[i] / total_a, q = b[i] / total_b;
    add(p, (p + q) / 2);
    add(q, (p + q) / 2);
  }
  return std::sqrt(std::clamp(divergence, 0.0, 1.0));
}

std::vector<ExpertDrift> expert_drifts(const std::vector<TwinsOfForm>& forms,
                                       const ExpertCountsOf& counts, int64_t n_shared) {
  enum { kN, kDistance, kNeutralN, kBeside, kWidth };
  std::vector<ExpertDrift> out;
  const auto between = [&](const AuditedQuery& a, const AuditedQuery& b) {
    const auto x = counts.find(a.attempt_id), y = counts.find(b.attempt_id);
    return x == counts.end() || y == counts.end() ? std::nullopt
                                                  : layer_distances(x->second, y->second, n_shared);
  };
  for (const TwinsOfForm& f : forms) {
    ExpertDrift d;
    d.form = f.form;
    std::vector<double> rows, layer_n;
    for (const Twins& p : f.pairs) {
      const auto layers = between(*p.clean, *p.shifted);
      if (!layers) continue;
      ++d.n;
      d.other_k += p.clean->k != p.shifted->k;
      const auto neutral =
          p.neutral != nullptr ? between(*p.clean, *p.neutral) : decltype(layers)(std::nullopt);
      d.n_neutral += neutral.has_value();
      rows.insert(rows.end(), {1, mean_of(*layers), neutral ? 1.0 : 0.0,
                               neutral ? mean_of(*layers) - mean_of(*neutral) : 0});
      d.layers.resize(layers->size());
      layer_n.resize(layers->size());
      for (size_t i = 0; i < layers->size(); ++i)
        if (!std::isnan((*layers)[i])) d.layers[i] += (*layers)[i], layer_n[i] += 1;
    }
    if (d.n == 0) continue;
    for (size_t i = 0; i < d.layers.size(); ++i) d.layers[i] = ratio(d.layers[i], layer_n[i]);
    const auto e = tasks::bootstrap_sums(rows, kWidth, 2, [](auto s, auto o) {
      o[0] = ratio(s[kDistance], s[kN]);
      o[1] = ratio(s[kBeside], s[kNeutralN]);
    });
    d.distance = e[0];
    d.beside_neutral = e[1];
    out.push_back(std::move(d));
  }
  return out;
}

}  // namespace harness
