#include "engine/train/fallback_fit.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "engine/train/ood_score.h"

namespace engine::train {

double flag_threshold(std::vector<double> scores) {
  std::sort(scores.begin(), scores.end());
  const auto i =
      static_cast<size_t>(std::ceil((1 - kFlaggedClean) * static_cast<double>(scores.size())));
  return scores[std::clamp<size_t>(i, 1, scores.size()) - 1];
}

std::vector<double> mean_success(const Examples& ex, std::span<const int64_t> rows) {
  std::vector<double> mean(static_cast<size_t>(ex.n_k()));
  for (const int64_t r : rows)
    for (int64_t k = 0; k < ex.n_k(); ++k)
      mean[static_cast<size_t>(k)] += ex.success[ex.at(r, k)] / static_cast<double>(rows.size());
  return mean;
}

size_t best_fixed(const Examples& ex, std::span<const int64_t> rows, double lambda, double mu) {
  std::vector<double> reward(static_cast<size_t>(ex.n_k()));
  for (const int64_t r : rows)
    for (int64_t k = 0; k < ex.n_k(); ++k)
      reward[static_cast<size_t>(k)] += ex.reward(r, k, lambda, mu);
  return argmax(reward);
}

CrossFallback cross_fallback(const FallbackChoice& choice, const Examples& ex, const CrossFit& fit,
                             double lambda, double mu) {
  CrossFallback out;
  const auto n = static_cast<size_t>(ex.n);
  out.scores.resize(n);
  out.flagged.resize(n);
  out.choices.resize(n);
  for (size_t f = 0; f < fit.folds.size(); ++f) {
    const SuccessModel& model = fit.fitted[f].success;
    const OodScore score(choice.detector, ex, fit.folds[f].train, model);
    for (const int64_t r : fit.folds[f].test)
      out.scores[static_cast<size_t>(r)] = score.of(model, ex.feature_row(r));
  }
  for (size_t f = 0; f < fit.folds.size(); ++f) {
    const Fold& fold = fit.folds[f];
    std::vector<double> others;  // each scored by its own fold
    for (const int64_t r : fold.train) others.push_back(out.scores[static_cast<size_t>(r)]);
    const double threshold = flag_threshold(std::move(others));
    const auto prior = mean_success(ex, fold.train);
    const size_t fixed = best_fixed(ex, fold.train, lambda, mu);
    for (const int64_t r : fold.test) {
      const auto i = static_cast<size_t>(r);
      const Fitted& networks = fit.fitted[f];
      const Prospect q{networks.success.p(ex.feature_row(r)),
                       prior,
                       networks.cost,
                       fixed,
                       out.scores[i],
                       threshold};
      out.flagged[i] = q.flagged();
      out.choices[i] =
          fall_back(choice.fallback, q, networks.decide(ex.feature_row(r), lambda), lambda);
    }
  }
  return out;
}

FallbackRule fallback_rule(const FallbackChoice& choice, const Examples& ex,
                           std::span<const int64_t> rows, const Fitted& fitted, double threshold,
                           double lambda, double mu) {
  const auto& layers = fitted.success.net.layers();
  assert(layers.size() > 1);
  FallbackRule rule;
  rule.choice = choice;
  rule.units = layers.back().n_in;
  rule.threshold = threshold;
  if (choice.fallback == Fallback::fixed || choice.fallback == Fallback::cap)
    rule.k = ex.grid[best_fixed(ex, rows, lambda, mu)];
  if (choice.fallback == Fallback::shrink) rule.prior = mean_success(ex, rows);
  rule.measure = OodScore(choice.detector, ex, rows, fitted.success).measure();
  return rule;
}

}  // namespace engine::train
