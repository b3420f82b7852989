// Owns the balanced assignment of points to clusters of one size, at the least total cost.
#pragma once

#include <cstdint>
#include <vector>

namespace engine::convert {

// cost [n, clusters], finite; clusters divides n. Returns the cluster of every point, each cluster
// with n / clusters of them, of the least sum of costs (costs are rounded to 2^-40 of the largest,
// so that sums are exact and the result is the same on every machine). Source: successive shortest
// paths on the transport problem; Ahuja, Magnanti, Orlin, Network Flows (1993), chapter 9.
std::vector<int32_t> assign_balanced(const std::vector<double>& cost, int64_t n, int32_t clusters);

}  // namespace engine::convert
