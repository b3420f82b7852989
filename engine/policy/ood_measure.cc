#include "engine/policy/ood_measure.h"

#include <algorithm>
#include <cmath>

namespace engine {

const char* ood_detector_name(OodDetector d) {
  return d == OodDetector::mahalanobis ? "mahalanobis" : "nearest";
}

const OodDetector* find_ood_detector(std::string_view name) {
  for (const OodDetector& d : kOodDetectors)
    if (name == ood_detector_name(d)) return &d;
  return nullptr;
}

void scale_to_length_one(std::span<double> z) {
  double square = 0;
  for (const double v : z) square += v * v;
  if (square > 0)
    for (double& v : z) v /= std::sqrt(square);
}

double OodMeasure::distance(std::span<const double> activations) const {
  std::vector<double> z(activations.begin(), activations.end());
  scale_to_length_one(z);
  const auto wide = static_cast<size_t>(width);
  if (detector == OodDetector::nearest) {
    std::vector<double> squares(static_cast<size_t>(n_rows));
    for (size_t r = 0; r < squares.size(); ++r)
      for (size_t i = 0; i < wide; ++i) {
        const double difference = rows[r * wide + i] - z[i];
        squares[r] += difference * difference;
      }
    const auto at = squares.begin() + std::min(neighbours, n_rows) - 1;
    std::nth_element(squares.begin(), at, squares.end());
    return std::sqrt(*at);
  }
  // |L^-1 (z - mean)|
  double square = 0;
  for (size_t i = 0; i < wide; ++i) {
    const double* row = factor.data() + i * wide;
    double sum = z[i] - mean[i];
    for (size_t j = 0; j < i; ++j) sum -= row[j] * z[j];
    z[i] = row[i] > 0 ? sum / row[i] : 0;
    square += z[i] * z[i];
  }
  return std::sqrt(square);
}

uint64_t OodMeasure::flops() const {
  const auto d = static_cast<uint64_t>(width);
  return detector == OodDetector::nearest ? 3 * static_cast<uint64_t>(n_rows) * d : d * d;
}

}  // namespace engine
