// Owns OodMeasure: how far a query's activations lie from those of the queries that a predictor
// learned from (research note adaptive-moe.md, section 5.3).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace engine {

enum class OodDetector { mahalanobis, nearest };
inline constexpr OodDetector kOodDetectors[] = {OodDetector::mahalanobis, OodDetector::nearest};
const char* ood_detector_name(OodDetector);
const OodDetector* find_ood_detector(std::string_view name);  // nullptr: there is none

// nearest: distance to this one of the nearest, or to the farthest where there are fewer.
inline constexpr int64_t kOodNeighbours = 10;

struct OodMeasure {
  OodDetector detector = OodDetector::mahalanobis;
  int64_t width = 0;
  // mahalanobis: mean, and L of L L^T = covariance, lower triangle [width, width]. A row of 0 on
  // the diagonal counts for nothing.
  std::vector<double> mean, factor;
  int64_t n_rows = 0, neighbours = kOodNeighbours;  // nearest
  std::vector<double> rows;                         // nearest: [n_rows, width], of length 1 each

  // Distance, 0 or more, of activations [width] scaled to length 1.
  double distance(std::span<const double> activations) const;
  uint64_t flops() const;  // of one distance, the activations known
};

// In place, unless all are 0.
void scale_to_length_one(std::span<double>);

}  // namespace engine
