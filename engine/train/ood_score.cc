#include "engine/train/ood_score.h"

#include <algorithm>
#include <cmath>

namespace engine::train {
namespace {

std::vector<double> direction(const SuccessModel& model, std::span<const float> features) {
  std::vector<double> x(features.size());
  model.input.apply(features, x.data());
  Mlp::Pass pass;
  model.net.forward(x, 1, &pass);
  std::vector<double> z = std::move(pass.inputs.back());
  double square = 0;
  for (const double v : z) square += v * v;
  if (square > 0)
    for (double& v : z) v /= std::sqrt(square);
  return z;
}

// In place: the lower triangle of a becomes L with L L^T = a. A direction in which nothing varies,
// not even after shrinking, gets an entry of 0 and counts for nothing.
void cholesky(std::vector<double>& a, int64_t d) {
  double largest = 0;
  for (int64_t i = 0; i < d; ++i) largest = std::max(largest, a[static_cast<size_t>(i * d + i)]);
  for (int64_t i = 0; i < d; ++i) {
    double* row = a.data() + i * d;
    for (int64_t j = 0; j <= i; ++j) {
      const double* other = a.data() + j * d;
      double sum = row[j];
      for (int64_t k = 0; k < j; ++k) sum -= row[k] * other[k];
      if (i == j)
        row[j] = sum > 1e-12 * largest ? std::sqrt(sum) : 0;
      else
        row[j] = other[j] > 0 ? sum / other[j] : 0;
    }
  }
}

}  // namespace

const char* ood_detector_name(OodDetector d) {
  return d == OodDetector::mahalanobis ? "mahalanobis" : "nearest";
}

ShrunkCovariance ledoit_wolf(std::span<const double> x, int64_t n, int64_t d) {
  ShrunkCovariance out;
  const auto wide = static_cast<size_t>(d);
  const auto rows = static_cast<double>(n), width = static_cast<double>(d);
  out.mean.assign(wide, 0);
  out.covariance.assign(wide * wide, 0);
  for (size_t i = 0; i < x.size(); ++i) out.mean[i % wide] += x[i] / rows;
  // Of the centred rows v: their mean outer product, and the mean of |v|^4.
  double fourth = 0;
  std::vector<double> v(wide);
  for (int64_t r = 0; r < n; ++r) {
    double square = 0;
    for (size_t i = 0; i < wide; ++i) {
      v[i] = x[static_cast<size_t>(r) * wide + i] - out.mean[i];
      square += v[i] * v[i];
    }
    fourth += square * square / rows;
    for (size_t i = 0; i < wide; ++i)
      for (size_t j = 0; j < wide; ++j) out.covariance[i * wide + j] += v[i] * v[j] / rows;
  }
  double trace = 0, squares = 0;
  for (size_t i = 0; i < wide; ++i) trace += out.covariance[i * wide + i];
  for (const double c : out.covariance) squares += c * c;
  const double scale = trace / width;
  // How far the covariance is from scale * identity, and how much of that is sampling error.
  const double distance = squares - width * scale * scale;
  const double error = std::min((fourth - squares) / rows, distance);
  out.shrinkage = distance > 0 ? std::clamp(error / distance, 0.0, 1.0) : 1;
  for (double& c : out.covariance) c *= 1 - out.shrinkage;
  for (size_t i = 0; i < wide; ++i) out.covariance[i * wide + i] += out.shrinkage * scale;
  return out;
}

OodScore::OodScore(OodDetector detector, const Examples& ex, std::span<const int64_t> rows,
                   const SuccessModel& model)
    : detector_(detector), n_(static_cast<int64_t>(rows.size())) {
  for (const int64_t r : rows) {
    const auto z = direction(model, ex.feature_row(r));
    width_ = static_cast<int64_t>(z.size());
    rows_.insert(rows_.end(), z.begin(), z.end());
  }
  if (detector == OodDetector::nearest) return;
  auto fitted = ledoit_wolf(rows_, n_, width_);
  mean_ = std::move(fitted.mean);
  factor_ = std::move(fitted.covariance);
  cholesky(factor_, width_);
  rows_.clear();
}

double OodScore::of(const SuccessModel& model, std::span<const float> features) const {
  std::vector<double> z = direction(model, features);
  const auto wide = static_cast<size_t>(width_);
  if (detector_ == OodDetector::nearest) {
    std::vector<double> squares(static_cast<size_t>(n_));
    for (size_t r = 0; r < squares.size(); ++r)
      for (size_t i = 0; i < wide; ++i) {
        const double difference = rows_[r * wide + i] - z[i];
        squares[r] += difference * difference;
      }
    const auto at = squares.begin() + std::min(kOodNeighbours, n_) - 1;
    std::nth_element(squares.begin(), at, squares.end());
    return std::sqrt(*at);
  }
  // |L^-1 (z - mean)|
  double square = 0;
  for (size_t i = 0; i < wide; ++i) {
    const double* row = factor_.data() + i * wide;
    double sum = z[i] - mean_[i];
    for (size_t j = 0; j < i; ++j) sum -= row[j] * z[j];
    z[i] = row[i] > 0 ? sum / row[i] : 0;
    square += z[i] * z[i];
  }
  return std::sqrt(square);
}

uint64_t OodScore::flops() const {
  const auto d = static_cast<uint64_t>(width_);
  return detector_ == OodDetector::nearest ? 3 * static_cast<uint64_t>(n_) * d : d * d;
}

}  // namespace engine::train
