#include "engine/train/ood_score.h"

#include <algorithm>
#include <cmath>

namespace engine::train {
namespace {

std::vector<double> activations(const SuccessModel& model, std::span<const float> features) {
  std::vector<double> x(features.size());
  model.input.apply(features, x.data());
  Mlp::Pass pass;
  model.net.forward(x, 1, &pass);
  return std::move(pass.inputs.back());
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
    for (int64_t j = i + 1; j < d; ++j) row[j] = 0;
  }
}

}  // namespace

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
                   const SuccessModel& model) {
  OodMeasure& m = measure_;
  m.detector = detector;
  m.n_rows = static_cast<int64_t>(rows.size());
  for (const int64_t r : rows) {
    auto z = activations(model, ex.feature_row(r));
    scale_to_length_one(z);
    m.width = static_cast<int64_t>(z.size());
    m.rows.insert(m.rows.end(), z.begin(), z.end());
  }
  if (detector == OodDetector::nearest) return;
  auto fitted = ledoit_wolf(m.rows, m.n_rows, m.width);
  m.mean = std::move(fitted.mean);
  m.factor = std::move(fitted.covariance);
  cholesky(m.factor, m.width);
  m.rows.clear();
  m.n_rows = 0;
}

double OodScore::of(const SuccessModel& model, std::span<const float> features) const {
  return measure_.distance(activations(model, features));
}

}  // namespace engine::train
