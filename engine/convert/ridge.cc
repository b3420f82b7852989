#include "engine/convert/ridge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

namespace engine::convert {
namespace {

constexpr int64_t kRows = 4, kColumns = 8;  // tile of the moments that one pass holds

// Adds sum_r v[r, i] * v[r, j] to the moments of one strip of kRows columns i and all j >= i.
void add_strip(const double* v, int64_t rows, int64_t n, int64_t i0, double* moments) {
  const int64_t ni = std::min(kRows, n - i0);
  for (int64_t j0 = i0 / kColumns * kColumns; j0 < n; j0 += kColumns) {
    const int64_t nj = std::min(kColumns, n - j0);
    double sum[kRows][kColumns] = {};
    if (ni == kRows && nj == kColumns) {
      for (int64_t r = 0; r < rows; ++r) {
        const double* row = v + r * n;
        for (int64_t i = 0; i < kRows; ++i) {
          for (int64_t j = 0; j < kColumns; ++j) sum[i][j] += row[i0 + i] * row[j0 + j];
        }
      }
    } else {
      for (int64_t r = 0; r < rows; ++r) {
        const double* row = v + r * n;
        for (int64_t i = 0; i < ni; ++i) {
          for (int64_t j = 0; j < nj; ++j) sum[i][j] += row[i0 + i] * row[j0 + j];
        }
      }
    }
    for (int64_t i = 0; i < ni; ++i) {
      for (int64_t j = 0; j < nj; ++j) moments[(i0 + i) * n + j0 + j] += sum[i][j];
    }
  }
}

// In place: the lower triangle of a becomes L with L L^T = a.
void cholesky(std::vector<double>& a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    double* row = a.data() + i * n;
    for (int64_t j = 0; j <= i; ++j) {
      const double* other = a.data() + j * n;
      double sum = row[j];
      for (int64_t k = 0; k < j; ++k) sum -= row[k] * other[k];
      if (i == j) {
        if (!(sum > 0) || !std::isfinite(sum)) {
          throw NoFit(
              fmt::format("pivot {} of the features' covariance is {}, want above 0", i, sum));
        }
        row[j] = std::sqrt(sum);
      } else {
        row[j] = sum / other[j];
      }
    }
  }
}

void solve_in_place(const std::vector<double>& l, int64_t n, std::vector<double>& b) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < i; ++k) b[i] -= l[i * n + k] * b[k];
    b[i] /= l[i * n + i];
  }
  for (int64_t i = n - 1; i >= 0; --i) {
    for (int64_t k = i + 1; k < n; ++k) b[i] -= l[k * n + i] * b[k];
    b[i] /= l[i * n + i];
  }
}

}  // namespace

Ridge::Ridge(int64_t n_features, int64_t n_targets)
    : n_features_(n_features),
      n_targets_(n_targets),
      moments_((n_features + n_targets + 1) * (n_features + n_targets + 1)) {}

void Ridge::add(const float* phi, const float* targets, int64_t rows, kernels::ThreadPool& pool) {
  const int64_t n = n_features_ + n_targets_ + 1;
  chunk_.resize(static_cast<size_t>(rows * n));
  for (int64_t r = 0; r < rows; ++r) {
    double* row = chunk_.data() + r * n;
    std::copy_n(phi + r * n_features_, n_features_, row);
    std::copy_n(targets + r * n_targets_, n_targets_, row + n_features_);
    row[n - 1] = 1;
  }
  pool.parallel_for((n + kRows - 1) / kRows, [&](int64_t strip, int) {
    add_strip(chunk_.data(), rows, n, strip * kRows, moments_.data());
  });
  rows_ += rows;
}

Ridge::Fit Ridge::solve(double lambda) const {
  assert(rows_ > 0 && lambda > 0);
  const int64_t n = n_features_ + n_targets_ + 1, p = n_features_;
  const auto count = static_cast<double>(rows_);
  const auto mean = [&](int64_t i) { return moments_[i * n + n - 1] / count; };
  const auto covariance = [&](int64_t i, int64_t j) {
    return moments_[std::min(i, j) * n + std::max(i, j)] / count - mean(i) * mean(j);
  };
  // A feature that does not vary (but for rounding) gets no weight.
  std::vector<double> scale(p);
  for (int64_t i = 0; i < p; ++i) {
    const double variance = covariance(i, i), square = moments_[i * n + i] / count;
    scale[i] = variance > 1e-12 * square ? 1 / std::sqrt(variance) : 0;
  }
  std::vector<double> a(p * p);
  for (int64_t i = 0; i < p; ++i) {
    for (int64_t j = 0; j <= i; ++j) a[i * p + j] = covariance(i, j) * scale[i] * scale[j];
    a[i * p + i] += lambda;
  }
  cholesky(a, p);
  Fit fit{std::vector<float>(n_targets_ * p), std::vector<float>(n_targets_),
          std::vector<double>(n_targets_)};
  for (int64_t t = 0; t < n_targets_; ++t) {
    std::vector<double> c(p), b(p);
    for (int64_t i = 0; i < p; ++i) b[i] = c[i] = covariance(i, p + t) * scale[i];
    solve_in_place(a, p, b);
    // Residual of the fit: var - 2 b.c + b^T (A - lambda) b, and A b = c.
    double bias = mean(p + t), explained = 0;
    for (int64_t i = 0; i < p; ++i) {
      const double weight = b[i] * scale[i];
      fit.weights[t * p + i] = static_cast<float>(weight);
      bias -= weight * mean(i);
      explained += b[i] * (c[i] + lambda * b[i]);
    }
    fit.bias[t] = static_cast<float>(bias);
    const auto finite = [](float v) { return std::isfinite(v); };
    const float* weights = fit.weights.data() + t * p;
    if (!finite(fit.bias[t]) || !std::all_of(weights, weights + p, finite)) {
      throw NoFit(fmt::format("the weights of target {} are not finite", t));
    }
    const double variance = covariance(p + t, p + t);
    fit.explained[t] = variance > 0 ? explained / variance : 0;
  }
  return fit;
}

}  // namespace engine::convert
