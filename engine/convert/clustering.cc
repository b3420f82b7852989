#include "engine/convert/clustering.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <random>

#include "engine/convert/assignment.h"

namespace engine::convert {
namespace {

// Inner products of the points with the centroids, and the centroids' squared norms.
struct Centroids {
  std::vector<double> dot;     // [n, clusters]
  std::vector<double> square;  // [clusters]
};

Centroids centroids_of(const std::vector<float>& gram, int64_t n, const std::vector<int32_t>& of,
                       int32_t clusters) {
  Centroids c{std::vector<double>(n * clusters), std::vector<double>(clusters)};
  std::vector<double> size(clusters);
  for (const int32_t e : of) ++size[e];
  for (int64_t j = 0; j < n; ++j) {
    double* row = c.dot.data() + j * clusters;
    for (int64_t i = 0; i < n; ++i) row[of[i]] += gram[j * n + i];
    for (int32_t e = 0; e < clusters; ++e) row[e] /= size[e];
    c.square[of[j]] += row[of[j]] / size[of[j]];
  }
  return c;
}

// Squared distances but for the points' own norms, which no choice changes.
std::vector<double> distances(const Centroids& c, int64_t n, int32_t clusters) {
  std::vector<double> cost(n * clusters);
  for (int64_t j = 0; j < n; ++j) {
    for (int32_t e = 0; e < clusters; ++e) {
      cost[j * clusters + e] = c.square[e] - 2 * c.dot[j * clusters + e];
    }
  }
  return cost;
}

double unit_interval(std::mt19937_64& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

// Points far from the seeds so far are likelier seeds.
std::vector<int64_t> seeds_of(const std::vector<float>& gram, int64_t n, int32_t clusters,
                              std::mt19937_64& random) {
  std::vector<int64_t> seeds{static_cast<int64_t>(random() % static_cast<uint64_t>(n))};
  std::vector<double> nearest(n, HUGE_VAL);
  while (static_cast<int32_t>(seeds.size()) < clusters) {
    const int64_t s = seeds.back();
    double sum = 0;
    for (int64_t j = 0; j < n; ++j) {
      const double d =
          static_cast<double>(gram[j * n + j]) + gram[s * n + s] - 2.0 * gram[j * n + s];
      nearest[j] = std::min(nearest[j], std::max(d, 0.0));
      sum += nearest[j];
    }
    double left = unit_interval(random) * sum;
    int64_t next = -1;
    for (int64_t j = 0; j < n; ++j) {
      if (nearest[j] <= 0) continue;
      next = j;
      if ((left -= nearest[j]) < 0) break;
    }
    // All points coincide with seeds: any point that is none yet.
    for (int64_t j = 0; next < 0; ++j) {
      if (std::find(seeds.begin(), seeds.end(), j) == seeds.end()) next = j;
    }
    seeds.push_back(next);
  }
  return seeds;
}

Clusters one_run(const std::vector<float>& gram, int64_t n, int32_t clusters,
                 std::mt19937_64& random, const Stop& stop) {
  Centroids c{std::vector<double>(n * clusters), std::vector<double>(clusters)};
  const std::vector<int64_t> seeds = seeds_of(gram, n, clusters, random);
  for (int32_t e = 0; e < clusters; ++e) {
    c.square[e] = gram[seeds[e] * n + seeds[e]];
    for (int64_t j = 0; j < n; ++j) c.dot[j * clusters + e] = gram[j * n + seeds[e]];
  }
  Clusters out;
  for (int i = 0; i < kMaxIterations; ++i) {
    stop.check();
    std::vector<int32_t> of = assign_balanced(distances(c, n, clusters), n, clusters);
    if (of == out.of) break;
    out.of = std::move(of);
    c = centroids_of(gram, n, out.of, clusters);
  }
  const auto size = static_cast<double>(n / clusters);
  for (int64_t j = 0; j < n; ++j) out.objective += gram[j * n + j];
  for (const double square : c.square) out.objective -= size * square;
  return out;
}

void number_by_first_member(std::vector<int32_t>& of, int32_t clusters) {
  std::vector<int32_t> number(clusters, -1);
  int32_t next = 0;
  for (int32_t& e : of) {
    if (number[e] < 0) number[e] = next++;
    e = number[e];
  }
}

}  // namespace

Clusters cluster_balanced(const std::vector<float>& gram, int64_t n, int32_t clusters,
                          uint64_t seed, const Stop& stop) {
  assert(static_cast<int64_t>(gram.size()) == n * n && n % clusters == 0);
  std::mt19937_64 random(seed);
  Clusters best;
  for (int i = 0; i < kRestarts; ++i) {
    Clusters c = one_run(gram, n, clusters, random, stop);
    if (i == 0 || c.objective < best.objective) best = std::move(c);
  }
  number_by_first_member(best.of, clusters);
  return best;
}

std::vector<int32_t> representatives(const std::vector<float>& gram, int64_t n,
                                     const std::vector<int32_t>& cluster_of, int32_t clusters,
                                     int32_t per_cluster) {
  assert(n / clusters >= per_cluster);
  const Centroids c = centroids_of(gram, n, cluster_of, clusters);
  std::vector<double> cosine(n);  // but for the centroid's norm
  for (int64_t j = 0; j < n; ++j) {
    const double square = gram[j * n + j];
    cosine[j] = square > 0 ? c.dot[j * clusters + cluster_of[j]] / std::sqrt(square) : -HUGE_VAL;
  }
  std::vector<int32_t> out;
  for (int32_t e = 0; e < clusters; ++e) {
    std::vector<int32_t> members;
    for (int64_t j = 0; j < n; ++j) {
      if (cluster_of[j] == e) members.push_back(static_cast<int32_t>(j));
    }
    std::stable_sort(members.begin(), members.end(),
                     [&](int32_t a, int32_t b) { return cosine[a] > cosine[b]; });
    out.insert(out.end(), members.begin(), members.begin() + per_cluster);
  }
  return out;
}

}  // namespace engine::convert
