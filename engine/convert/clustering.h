// Owns the clustering of neurons into groups of one size. Features are known by their inner
// products only, so that co-activation counts and weights go one way.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/convert/stop.h"

namespace engine::convert {

struct Clusters {
  std::vector<int32_t> of;  // [n]: the cluster of each point; clusters in order of first member
  double objective = 0;     // sum of squared distances to the centroids
};

// gram [n, n]: inner products of the points' features. Lloyd's iterations with exact balanced
// assignment, from kRestarts seedings by k-means++ (Arthur & Vassilvitskii 2007), the best kept.
// The same seed gives the same clusters. Throws Stopped.
Clusters cluster_balanced(const std::vector<float>& gram, int64_t n, int32_t clusters,
                          uint64_t seed, const Stop& = {});
inline constexpr int kRestarts = 4, kMaxIterations = 20;

// The points of each cluster whose features make the smallest angle with its centroid, closest
// first, ties to the lower id: [clusters * per_cluster].
std::vector<int32_t> representatives(const std::vector<float>& gram, int64_t n,
                                     const std::vector<int32_t>& cluster_of, int32_t clusters,
                                     int32_t per_cluster);

}  // namespace engine::convert
