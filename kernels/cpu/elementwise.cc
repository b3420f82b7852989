#include "kernels/elementwise.h"

#include <cmath>
#include <limits>

namespace kernels {

void rms_norm(const float* x, int64_t m, int64_t n, const float* weight, float eps, float* y,
              ThreadPool&) {
  for (int64_t r = 0; r < m; ++r) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[r * n + i]) * x[r * n + i];
    const float scale = static_cast<float>(
        1.0 / std::sqrt(sum / static_cast<double>(n) + static_cast<double>(eps)));
    for (int64_t i = 0; i < n; ++i) y[r * n + i] = x[r * n + i] * scale * weight[i];
  }
}

void rope(float* x, int64_t row_stride, int64_t m, int64_t n_heads, int64_t d_head, int64_t d_rot,
          const int32_t* positions, const float* cos_sin, bool interleaved, ThreadPool&) {
  const int64_t half = d_rot / 2;
  for (int64_t r = 0; r < m; ++r) {
    const float* table = cos_sin + positions[r] * d_rot;
    for (int64_t h = 0; h < n_heads; ++h) {
      float* v = x + r * row_stride + h * d_head;
      for (int64_t i = 0; i < half; ++i) {
        float& a = interleaved ? v[2 * i] : v[i];
        float& b = interleaved ? v[2 * i + 1] : v[i + half];
        const float c = table[2 * i], s = table[2 * i + 1], a0 = a;
        a = a0 * c - b * s;
        b = a0 * s + b * c;
      }
    }
  }
}

void swiglu(const float* gate, const float* up, int64_t m, int64_t n, float* h, ThreadPool&) {
  for (int64_t i = 0; i < m * n; ++i) h[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

void add_rows(const float* x, int64_t n, float* y, ThreadPool&) {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i];
}

int64_t argmax(const float* x, int64_t n) {
  int64_t best = -1;
  for (int64_t i = 0; i < n; ++i) {
    if (std::isnan(x[i])) continue;
    if (best < 0 || x[i] > x[best]) best = i;
  }
  return best;
}

double log_sum_exp(const float* x, int64_t n) {
  const int64_t best = argmax(x, n);
  if (best < 0) return std::numeric_limits<double>::quiet_NaN();
  const double max = x[best];
  if (std::isinf(max)) return max;
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i]) - max);
  return max + std::log(sum);
}

}  // namespace kernels
