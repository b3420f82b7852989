// The slow, obviously right form of each op, in double precision. Every backend is held against it.
#pragma once

#include <cstdint>
#include <vector>

namespace reference {

// y[m, n_out] = x[m, n_in] . w[n_out, n_in]^T (+ bias); magnitude[m, n_out] = sum_k |x w| + |bias|,
// the scale of the rounding error of each output.
struct Product {
  std::vector<double> y, magnitude;
};
Product matmul(const std::vector<float>& x, const std::vector<float>& w,
               const std::vector<float>& bias, int64_t m, int64_t n_out, int64_t n_in);

// One query head over n positions: softmax(q.K / sqrt(d)) V with k, v [n, d].
// largest_score = max_t sum_i |q k_t| / sqrt(d).
struct Attended {
  std::vector<double> out;
  double largest_score = 0, largest_value = 0;
};
Attended attention(const float* q, const std::vector<float>& k, const std::vector<float>& v,
                   int64_t n, int64_t d);

std::vector<double> rms_norm(const std::vector<float>& x, const std::vector<float>& weight,
                             double eps);
double silu(double x);
double log_sum_exp(const std::vector<float>& x);
double kl_divergence(const std::vector<float>& p, const std::vector<float>& q);

}  // namespace reference
