#include "kernels/matmul.h"

#include <cmath>
#include <vector>

namespace kernels {

Cost matmul_cost(int64_t m, int64_t n_out, int64_t n_in, Dtype dtype) {
  return {2 * static_cast<uint64_t>(m) * static_cast<uint64_t>(n_out) * static_cast<uint64_t>(n_in),
          static_cast<uint64_t>(n_out) * static_cast<uint64_t>(row_bytes(dtype, n_in))};
}

static float dot(const float* x, const float* w, int64_t n) {
  float acc = 0;
  for (int64_t k = 0; k < n; ++k) acc = std::fma(x[k], w[k], acc);
  return acc;
}

void matmul(const float* x, int64_t x_stride, int64_t m, const PackedMatrix& w, const float* bias,
            float* y, int64_t y_stride, ThreadPool& pool) {
  pool.launched(OpKind::matmul) += matmul_cost(m, w.n_out(), w.n_in(), w.dtype());
  pool.parallel_for(w.n_out(), [&](int64_t n, int) {
    std::vector<float> row(static_cast<size_t>(w.n_in()));
    w.row(n, row.data());
    for (int64_t r = 0; r < m; ++r) {
      const float acc = dot(x + r * x_stride, row.data(), w.n_in());
      y[r * y_stride + n] = bias ? acc + bias[n] : acc;
    }
  });
}

void matmul_columns(const float* x, int64_t x_stride, int64_t m, const PackedMatrix& w,
                    const int32_t* ids, int64_t n_ids, float* y, int64_t y_stride,
                    ThreadPool& pool) {
  pool.launched(OpKind::matmul) += matmul_cost(m, n_ids, w.n_in(), w.dtype());
  pool.parallel_for(n_ids, [&](int64_t j, int) {
    std::vector<float> row(static_cast<size_t>(w.n_in()));
    w.row(ids[j], row.data());
    for (int64_t r = 0; r < m; ++r) {
      y[r * y_stride + j] = dot(x + r * x_stride, row.data(), w.n_in());
    }
  });
}

}  // namespace kernels
