#include "engine/train/comparators.h"

#include <algorithm>

namespace engine::train {

Shares shares_of(const Examples& ex, std::span<const size_t> choices) {
  Shares s(static_cast<size_t>(ex.n * ex.n_k()));
  for (int64_t r = 0; r < ex.n; ++r)
    s[ex.at(r, static_cast<int64_t>(choices[static_cast<size_t>(r)]))] = 1;
  return s;
}

Shares oracle(const Examples& ex, double lambda, double mu) {
  std::vector<size_t> choices;
  for (int64_t r = 0; r < ex.n; ++r) {
    std::vector<double> reward;
    for (int64_t k = 0; k < ex.n_k(); ++k) reward.push_back(ex.reward(r, k, lambda, mu));
    choices.push_back(argmax(reward));
  }
  return shares_of(ex, choices);
}

Shares best_static(const Examples& ex, std::span<const Fold> folds, double lambda, double mu) {
  std::vector<size_t> choices(static_cast<size_t>(ex.n));
  for (const Fold& f : folds) {
    std::vector<double> reward(static_cast<size_t>(ex.n_k()));
    for (const int64_t r : f.train)
      for (int64_t k = 0; k < ex.n_k(); ++k)
        reward[static_cast<size_t>(k)] += ex.reward(r, k, lambda, mu);
    for (const int64_t r : f.test) choices[static_cast<size_t>(r)] = argmax(reward);
  }
  return shares_of(ex, choices);
}

Shares matched_random(const Examples& ex, std::span<const double> policy) {
  const auto n_k = static_cast<size_t>(ex.n_k());
  std::vector<double> share(n_k);
  for (size_t i = 0; i < policy.size(); ++i)
    share[i % n_k] += policy[i] / static_cast<double>(ex.n);
  Shares s(policy.size());
  for (size_t i = 0; i < s.size(); ++i) s[i] = share[i % n_k];
  return s;
}

Shares nearest_neighbours(const Examples& ex, std::span<const Fold> folds, double lambda) {
  const auto d = static_cast<size_t>(ex.n_features);
  std::vector<size_t> choices(static_cast<size_t>(ex.n));
  for (const Fold& f : folds) {
    const Standardiser input(ex, f.train);
    const auto cost = mean_cost(ex, f.train);
    std::vector<double> z(f.train.size() * d), x(d);
    for (size_t i = 0; i < f.train.size(); ++i)
      input.apply(ex.feature_row(f.train[i]), z.data() + i * d);
    for (const int64_t r : f.test) {
      input.apply(ex.feature_row(r), x.data());
      std::vector<std::pair<double, int64_t>> near;
      for (size_t i = 0; i < f.train.size(); ++i) {
        double sum = 0;
        for (size_t j = 0; j < d; ++j) sum += (z[i * d + j] - x[j]) * (z[i * d + j] - x[j]);
        near.emplace_back(sum, f.train[i]);
      }
      const auto m = std::min<size_t>(static_cast<size_t>(kNeighbours), near.size());
      std::partial_sort(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(m), near.end());
      std::vector<double> p(static_cast<size_t>(ex.n_k()));
      for (size_t i = 0; i < m; ++i)
        for (int64_t k = 0; k < ex.n_k(); ++k)
          p[static_cast<size_t>(k)] +=
              ex.success[ex.at(near[i].second, k)] / static_cast<double>(m);
      choices[static_cast<size_t>(r)] = plug_in(p, cost, lambda);
    }
  }
  return shares_of(ex, choices);
}

uint64_t nearest_neighbours_flops(const Examples& ex, std::span<const Fold> folds) {
  size_t most = 0;
  for (const Fold& f : folds) most = std::max(most, f.train.size());
  return 3 * static_cast<uint64_t>(most) * static_cast<uint64_t>(ex.n_features);
}

Examples with_features(const Examples& ex, std::span<const int64_t> columns) {
  Examples out = ex;
  out.n_features = static_cast<int64_t>(columns.size());
  out.features.clear();
  for (int64_t r = 0; r < ex.n; ++r)
    for (const int64_t c : columns)
      out.features.push_back(ex.feature_row(r)[static_cast<size_t>(c)]);
  return out;
}

}  // namespace engine::train
