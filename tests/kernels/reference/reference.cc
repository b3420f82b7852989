#include "tests/kernels/reference/reference.h"

#include <algorithm>
#include <cmath>

namespace reference {

Product matmul(const std::vector<float>& x, const std::vector<float>& w,
               const std::vector<float>& bias, int64_t m, int64_t n_out, int64_t n_in) {
  Product p;
  for (int64_t r = 0; r < m; ++r) {
    for (int64_t n = 0; n < n_out; ++n) {
      double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < n_in; ++k) {
        const double term = static_cast<double>(x[static_cast<size_t>(r * n_in + k)]) *
                            static_cast<double>(w[static_cast<size_t>(n * n_in + k)]);
        sum += term;
        magnitude += std::abs(term);
      }
      if (!bias.empty()) {
        sum += static_cast<double>(bias[static_cast<size_t>(n)]);
        magnitude += std::abs(static_cast<double>(bias[static_cast<size_t>(n)]));
      }
      p.y.push_back(sum);
      p.magnitude.push_back(magnitude);
    }
  }
  return p;
}

Attended attention(const float* q, const std::vector<float>& k, const std::vector<float>& v,
                   int64_t n, int64_t d) {
  Attended a;
  std::vector<double> weights;
  for (int64_t t = 0; t < n; ++t) {
    double score = 0, magnitude = 0;
    for (int64_t i = 0; i < d; ++i) {
      const double term =
          static_cast<double>(q[i]) * static_cast<double>(k[static_cast<size_t>(t * d + i)]);
      score += term;
      magnitude += std::abs(term);
      a.largest_value = std::max(a.largest_value,
                                 std::abs(static_cast<double>(v[static_cast<size_t>(t * d + i)])));
    }
    weights.push_back(score / std::sqrt(static_cast<double>(d)));
    a.largest_score = std::max(a.largest_score, magnitude / std::sqrt(static_cast<double>(d)));
  }
  const double max = *std::max_element(weights.begin(), weights.end());
  double sum = 0;
  for (double& w : weights) sum += w = std::exp(w - max);
  a.out.assign(static_cast<size_t>(d), 0.0);
  for (int64_t t = 0; t < n; ++t) {
    for (int64_t i = 0; i < d; ++i) {
      a.out[static_cast<size_t>(i)] += weights[static_cast<size_t>(t)] / sum *
                                       static_cast<double>(v[static_cast<size_t>(t * d + i)]);
    }
  }
  return a;
}

std::vector<double> rms_norm(const std::vector<float>& x, const std::vector<float>& weight,
                             double eps) {
  double sum = 0;
  for (float v : x) sum += static_cast<double>(v) * static_cast<double>(v);
  const double root = std::sqrt(sum / static_cast<double>(x.size()) + eps);
  std::vector<double> y;
  for (size_t i = 0; i < x.size(); ++i) {
    y.push_back(static_cast<double>(x[i]) / root * static_cast<double>(weight[i]));
  }
  return y;
}

double silu(double x) { return x / (1 + std::exp(-x)); }

double log_sum_exp(const std::vector<float>& x) {
  const double max = static_cast<double>(*std::max_element(x.begin(), x.end()));
  double sum = 0;
  for (float v : x) sum += std::exp(static_cast<double>(v) - max);
  return max + std::log(sum);
}

double kl_divergence(const std::vector<float>& p, const std::vector<float>& q) {
  const double p_norm = log_sum_exp(p), q_norm = log_sum_exp(q);
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double log_p = static_cast<double>(p[i]) - p_norm;
    if (std::exp(log_p) > 0)
      sum += std::exp(log_p) * (log_p - (static_cast<double>(q[i]) - q_norm));
  }
  return sum;
}

}  // namespace reference
