#include "engine/train/models.h"

#include <algorithm>
#include <cmath>

namespace engine::train {

std::vector<double> mean_cost(const Examples& ex, std::span<const int64_t> rows) {
  std::vector<double> mean(static_cast<size_t>(ex.n_k()));
  for (const int64_t r : rows)
    for (int64_t k = 0; k < ex.n_k(); ++k) mean[static_cast<size_t>(k)] += ex.cost[ex.at(r, k)];
  for (double& m : mean) m /= static_cast<double>(std::max<size_t>(rows.size(), 1));
  return mean;
}

Standardiser::Standardiser(const Examples& ex, std::span<const int64_t> rows)
    : mean(static_cast<size_t>(ex.n_features)), scale(mean.size()), varies(mean.size()) {
  const auto n = static_cast<double>(std::max<size_t>(rows.size(), 1));
  for (const int64_t r : rows) {
    const auto x = ex.feature_row(r);
    for (size_t j = 0; j < mean.size(); ++j) mean[j] += x[j] / n;
  }
  for (const int64_t r : rows) {
    const auto x = ex.feature_row(r);
    for (size_t j = 0; j < mean.size(); ++j) scale[j] += (x[j] - mean[j]) * (x[j] - mean[j]) / n;
  }
  for (size_t j = 0; j < mean.size(); ++j) {
    const double s = std::sqrt(scale[j]);
    // Features are floats: less than their rounding is no variation.
    varies[j] = s > 1e-6 * std::max(1e-3, std::fabs(mean[j]));
    scale[j] = varies[j] ? s : 1;
  }
}

void Standardiser::apply(std::span<const float> x, double* z) const {
  for (size_t j = 0; j < mean.size(); ++j) z[j] = varies[j] ? (x[j] - mean[j]) / scale[j] : 0.0;
}

namespace {

std::vector<double> outputs(const Standardiser& input, const Mlp& net, std::span<const float> x) {
  std::vector<double> z(x.size());
  input.apply(x, z.data());
  Mlp::Pass pass;
  net.forward(z, 1, &pass);
  return pass.output;
}

}  // namespace

std::vector<double> SuccessModel::p(std::span<const float> features) const {
  return success_probabilities(head, outputs(input, net, features));
}

std::vector<double> PolicyModel::basis(double lambda) const {
  if (!family) return {1};
  const double low = std::log(family->lower), high = std::log(family->upper);
  const double at = std::clamp(std::log(std::max(lambda, 1e-300)), low, high);
  return {1, lambda / family->upper, 2 * (at - low) / (high - low) - 1};
}

std::vector<double> PolicyModel::logits(std::span<const float> features, double lambda) const {
  const auto o = outputs(input, net, features);
  const auto g = basis(lambda);
  std::vector<double> z(o.size() / g.size());
  for (size_t b = 0; b < g.size(); ++b)
    for (size_t k = 0; k < z.size(); ++k) z[k] += g[b] * o[b * z.size() + k];
  return z;
}

}  // namespace engine::train
