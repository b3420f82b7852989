#include "engine/train/cross_fit.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

namespace engine::train {
namespace {

constexpr uint64_t kFolds = 100;  // use of the seed, apart from those of training

}  // namespace

size_t Fitted::decide(std::span<const float> features, double lambda) const {
  if (policy) return argmax(policy->logits(features, lambda));
  return train::plug_in(success.p(features), cost, lambda);
}

uint64_t Fitted::flops() const {
  const auto& layers = success.net.layers();
  const int64_t n_k = success.net.n_out(), nets = policy ? 2 : 1;
  int64_t width = success.net.n_in(), products = 0;
  for (size_t i = 0; i + 1 < layers.size(); ++i) {
    products += width * nets * layers[i].n_out;
    width = nets * layers[i].n_out;
  }
  return 2 * static_cast<uint64_t>(products + width * nets * n_k);
}

Fitted fit(const Examples& ex, std::span<const int64_t> rows, Objective objective,
           const Options& o) {
  Fitted f;
  f.cost = mean_cost(ex, rows);
  if (objective == Objective::reinforce) {
    auto r = fit_reinforce(ex, rows, o);
    f.success = std::move(r.success);
    f.policy = std::move(r.policy);
    return f;
  }
  f.success = fit_success(ex, rows, o);
  if (objective == Objective::policy) f.policy = fit_policy(ex, rows, o);
  return f;
}

std::vector<Fold> make_folds(const Examples& ex, int n_folds, uint64_t seed) {
  std::vector<int64_t> clusters = ex.cluster;
  std::sort(clusters.begin(), clusters.end());
  clusters.erase(std::unique(clusters.begin(), clusters.end()), clusters.end());
  Random random(derived_seed(seed, kFolds));
  random.shuffle(std::span(clusters));
  std::map<int64_t, size_t> fold_of;
  for (size_t i = 0; i < clusters.size(); ++i)
    fold_of[clusters[i]] = i % static_cast<size_t>(n_folds);
  std::vector<Fold> folds(static_cast<size_t>(n_folds));
  for (int64_t r = 0; r < ex.n; ++r)
    for (size_t f = 0; f < folds.size(); ++f)
      (fold_of.at(ex.cluster[static_cast<size_t>(r)]) == f ? folds[f].test : folds[f].train)
          .push_back(r);
  return folds;
}

CrossFit cross_fit(const Examples& ex, const std::vector<Fold>& folds, Objective objective,
                   const Options& o, int threads, const std::function<void()>& done) {
  CrossFit out;
  out.folds = folds;
  out.fitted.resize(folds.size());
  std::atomic<size_t> next{0};
  std::vector<std::exception_ptr> errors(folds.size());
  std::mutex telling;
  const auto work = [&] {
    for (size_t f = next++; f < folds.size(); f = next++) {
      try {
        out.fitted[f] = fit(ex, folds[f].train, objective, o);
        const std::lock_guard lock(telling);
        if (done) done();
      } catch (...) {
        errors[f] = std::current_exception();
      }
    }
  };
  std::vector<std::jthread> others;
  const auto n = std::min(folds.size(), static_cast<size_t>(std::max(threads, 1)));
  for (size_t i = 1; i < n; ++i) others.emplace_back(work);
  work();
  others.clear();
  for (const auto& e : errors)
    if (e) std::rethrow_exception(e);
  out.p.resize(static_cast<size_t>(ex.n * ex.n_k()));
  for (size_t f = 0; f < folds.size(); ++f)
    for (const int64_t r : folds[f].test) {
      const auto p = out.fitted[f].success.p(ex.feature_row(r));
      std::copy(p.begin(), p.end(), out.p.begin() + static_cast<std::ptrdiff_t>(ex.at(r, 0)));
    }
  return out;
}

std::vector<size_t> CrossFit::decide(const Examples& ex, double lambda) const {
  std::vector<size_t> out(static_cast<size_t>(ex.n));
  for (size_t f = 0; f < folds.size(); ++f)
    for (const int64_t r : folds[f].test)
      out[static_cast<size_t>(r)] = fitted[f].decide(ex.feature_row(r), lambda);
  return out;
}

std::vector<size_t> CrossFit::plug_in(const Examples& ex, double lambda) const {
  const auto n_k = static_cast<size_t>(ex.n_k());
  std::vector<size_t> out(static_cast<size_t>(ex.n));
  for (size_t f = 0; f < folds.size(); ++f)
    for (const int64_t r : folds[f].test)
      out[static_cast<size_t>(r)] =
          train::plug_in(std::span(p).subspan(ex.at(r, 0), n_k), fitted[f].cost, lambda);
  return out;
}

std::optional<double> lambda_for_cost(const Examples& ex, const CrossFit& fit, double target,
                                      const LambdaRange& range) {
  const auto cost_at = [&](double lambda) {
    const auto choice = fit.decide(ex, lambda);
    const auto own = static_cast<double>(fit.fitted.front().flops());
    double sum = 0;
    for (int64_t r = 0; r < ex.n; ++r) {
      const auto i = static_cast<size_t>(r);
      sum += ex.cost[ex.at(r, static_cast<int64_t>(choice[i]))] + own / ex.full_flops[i];
    }
    return sum / static_cast<double>(ex.n);
  };
  if (cost_at(range.lower) <= target) return range.lower;
  if (cost_at(range.upper) > target) return std::nullopt;
  double dear = range.lower, cheap = range.upper;
  for (int i = 0; i < 40; ++i) {
    const double middle = std::sqrt(dear * cheap);
    (cost_at(middle) <= target ? cheap : dear) = middle;
  }
  return cheap;
}

}  // namespace engine::train
