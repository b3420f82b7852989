#include "engine/train/outcome.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>

#include "engine/train/random.h"

namespace engine::train {
namespace {

// Of one query under a policy.
struct Row {
  double right = 0, k = 0, cost = 0, reward = 0;
};

Row row_of(const Examples& ex, int64_t r, std::span<const double> shares, uint64_t own_flops,
           double lambda, double mu) {
  const double own = static_cast<double>(own_flops) / ex.full_flops[static_cast<size_t>(r)];
  Row out{0, 0, own, -lambda * own};
  for (int64_t k = 0; k < ex.n_k(); ++k) {
    const double share = shares[ex.at(r, k)];
    if (share == 0) continue;
    out.right += share * ex.success[ex.at(r, k)];
    out.k += share * ex.grid[static_cast<size_t>(k)];
    out.cost += share * ex.cost[ex.at(r, k)];
    out.reward += share * ex.reward(r, k, lambda, mu);
  }
  return out;
}

// Sums over the queries of each cluster: [n_clusters, width].
struct ClusterSums {
  size_t width;
  std::vector<double> sums;
  size_t n() const { return sums.size() / width; }
};

ClusterSums cluster_sums(const Examples& ex, size_t width,
                         const std::function<void(int64_t row, double* add)>& values) {
  std::map<int64_t, size_t> place;
  for (const int64_t c : ex.cluster) place.emplace(c, place.size());
  ClusterSums out{width, std::vector<double>(place.size() * width)};
  std::vector<double> one(width);
  for (int64_t r = 0; r < ex.n; ++r) {
    std::fill(one.begin(), one.end(), 0.0);
    values(r, one.data());
    double* to = out.sums.data() + place.at(ex.cluster[static_cast<size_t>(r)]) * width;
    for (size_t j = 0; j < width; ++j) to[j] += one[j];
  }
  return out;
}

// Quantiles 2.5% and 97.5%, interpolated linearly.
Range percentiles(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  const auto at = [&](double q) {
    const double x = q * static_cast<double>(v.size() - 1);
    const auto i = static_cast<size_t>(x);
    const double next = v[std::min(i + 1, v.size() - 1)];
    return v[i] + (x - static_cast<double>(i)) * (next - v[i]);
  };
  return {at(0.025), at(0.975)};
}

// Calls see(sums over a resample of the clusters) for each resample.
void resample(const ClusterSums& c, const std::function<void(const std::vector<double>&)>& see) {
  Random random(kOutcomeSeed);
  std::vector<double> sum(c.width);
  for (int b = 0; b < kOutcomeResamples; ++b) {
    std::fill(sum.begin(), sum.end(), 0.0);
    for (size_t i = 0; i < c.n(); ++i) {
      const double* from = c.sums.data() + random.below(c.n()) * c.width;
      for (size_t j = 0; j < c.width; ++j) sum[j] += from[j];
    }
    see(sum);
  }
}

}  // namespace

StaticHull::StaticHull(std::span<const double> cost, std::span<const double> accuracy) {
  std::vector<std::pair<double, double>> all;
  for (size_t k = 0; k < cost.size(); ++k) all.emplace_back(cost[k], accuracy[k]);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second > b.second;
  });
  for (const auto& p : all) {
    if (!points_.empty() && p.second <= points_.back().second) continue;  // dearer, no better
    while (points_.size() >= 2) {
      const auto& a = points_[points_.size() - 2];
      const auto& b = points_.back();
      const double cross =
          (b.first - a.first) * (p.second - a.second) - (b.second - a.second) * (p.first - a.first);
      if (cross < 0) break;
      points_.pop_back();
    }
    points_.push_back(p);
  }
}

double StaticHull::accuracy_at(double cost) const {
  if (cost <= points_.front().first) return points_.front().second;
  for (size_t i = 1; i < points_.size(); ++i) {
    const auto& a = points_[i - 1];
    const auto& b = points_[i];
    if (cost < b.first)
      return a.second + (cost - a.first) / (b.first - a.first) * (b.second - a.second);
  }
  return points_.back().second;
}

Outcome outcome_of(const Examples& ex, std::span<const double> shares, uint64_t own_flops,
                   double lambda, double mu) {
  const auto n_k = static_cast<size_t>(ex.n_k());
  Outcome out;
  out.n = ex.n;
  const auto n = static_cast<double>(ex.n);
  // n, right, cost, then cost and success of each k.
  const auto sums = cluster_sums(ex, 3 + 2 * n_k, [&](int64_t r, double* add) {
    const Row row = row_of(ex, r, shares, own_flops, lambda, mu);
    double best = -std::numeric_limits<double>::infinity();
    for (int64_t k = 0; k < ex.n_k(); ++k) best = std::max(best, ex.reward(r, k, lambda, mu));
    out.mean_k += row.k;
    out.reward += row.reward;
    out.regret += best - row.reward;
    add[0] = 1;
    add[1] = row.right;
    add[2] = row.cost;
    for (size_t k = 0; k < n_k; ++k) {
      add[3 + k] = ex.cost[ex.at(r, static_cast<int64_t>(k))];
      add[3 + n_k + k] = ex.success[ex.at(r, static_cast<int64_t>(k))];
    }
  });
  for (double* mean : {&out.mean_k, &out.reward, &out.regret}) *mean /= n;
  out.clusters = static_cast<int64_t>(sums.n());
  std::vector<double> cost(n_k), accuracy(n_k);
  const auto gain_of = [&](const std::vector<double>& s) {
    for (size_t k = 0; k < n_k; ++k) {
      cost[k] = s[3 + k] / s[0];
      accuracy[k] = s[3 + n_k + k] / s[0];
    }
    return s[1] / s[0] - StaticHull(cost, accuracy).accuracy_at(s[2] / s[0]);
  };
  std::vector<double> total(sums.width);
  for (size_t i = 0; i < sums.n(); ++i)
    for (size_t j = 0; j < sums.width; ++j) total[j] += sums.sums[i * sums.width + j];
  out.accuracy = total[1] / n;
  out.cost = total[2] / n;
  out.gain = gain_of(total);
  std::vector<double> accuracies, gains;
  resample(sums, [&](const std::vector<double>& s) {
    accuracies.push_back(s[1] / s[0]);
    gains.push_back(gain_of(s));
  });
  out.accuracy_interval = percentiles(std::move(accuracies));
  out.gain_interval = percentiles(std::move(gains));
  return out;
}

Difference reward_difference(const Examples& ex, std::span<const double> a, uint64_t a_flops,
                             std::span<const double> b, uint64_t b_flops, double lambda,
                             double mu) {
  const auto sums = cluster_sums(ex, 2, [&](int64_t r, double* add) {
    add[0] = 1;
    add[1] =
        row_of(ex, r, a, a_flops, lambda, mu).reward - row_of(ex, r, b, b_flops, lambda, mu).reward;
  });
  Difference out;
  for (size_t i = 0; i < sums.n(); ++i)
    out.mean += sums.sums[2 * i + 1] / static_cast<double>(ex.n);
  std::vector<double> means;
  resample(sums, [&](const std::vector<double>& s) { means.push_back(s[1] / s[0]); });
  out.interval = percentiles(std::move(means));
  return out;
}

namespace {

std::vector<double> ranks(std::span<const double> v) {
  std::vector<size_t> order(v.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return v[a] < v[b]; });
  std::vector<double> rank(v.size());
  for (size_t first = 0, end = 0; first < order.size(); first = end) {
    end = first + 1;  // NaN equals nothing, not even itself
    while (end < order.size() && v[order[end]] == v[order[first]]) ++end;
    for (size_t i = first; i < end; ++i)
      rank[order[i]] = (static_cast<double>(first) + static_cast<double>(end - 1)) / 2;
  }
  return rank;
}

}  // namespace

double spearman(std::span<const double> a, std::span<const double> b) {
  const auto x = ranks(a), y = ranks(b);
  const double middle = (static_cast<double>(x.size()) - 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - middle) * (y[i] - middle);
    xx += (x[i] - middle) * (x[i] - middle);
    yy += (y[i] - middle) * (y[i] - middle);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : std::numeric_limits<double>::quiet_NaN();
}

double choice_entropy(std::span<const double> shares, int64_t n_k) {
  std::vector<double> sum(static_cast<size_t>(n_k));
  double total = 0, h = 0;
  for (size_t i = 0; i < shares.size(); ++i) {
    sum[i % sum.size()] += shares[i];
    total += shares[i];
  }
  for (const double s : sum)
    if (s > 0) h -= s / total * std::log(s / total);
  return h;
}

}  // namespace engine::train
