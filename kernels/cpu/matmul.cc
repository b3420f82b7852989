#include "kernels/matmul.h"

#include <algorithm>
#include <cassert>
#include <vector>

#include "kernels/cpu/panel.h"

namespace kernels {

static constexpr int64_t kColumnsAtOnce = 16;

Cost matmul_cost(int64_t m, int64_t n_out, int64_t n_in, Dtype dtype) {
  return {2 * static_cast<uint64_t>(m) * static_cast<uint64_t>(n_out) * static_cast<uint64_t>(n_in),
          static_cast<uint64_t>(n_out) * static_cast<uint64_t>(row_bytes(dtype, n_in))};
}

void matmul(const float* x, int64_t x_stride, int64_t m, const PackedMatrix& w, const float* bias,
            float* y, int64_t y_stride, ThreadPool& pool) {
  if (m == 0 || w.empty()) return;
  pool.launched(OpKind::matmul) += matmul_cost(m, w.n_out(), w.n_in(), w.dtype());
  const int64_t row_blocks = (m + kTaskRows - 1) / kTaskRows;
  pool.parallel_for(row_blocks * w.n_panels(), [&](int64_t task, int) {
    const int64_t panel = task % w.n_panels(), row0 = task / w.n_panels() * kTaskRows;
    const int64_t rows = std::min(kTaskRows, m - row0);
    alignas(64) float c[kTaskRows * kPanelRows];
    panel_product(w, panel, x + row0 * x_stride, x_stride, rows, c);
    const int64_t column0 = panel * kPanelRows, columns = panel_columns(w, panel);
    for (int64_t r = 0; r < rows; ++r) {
      const float* from = c + r * kPanelRows;
      float* to = y + (row0 + r) * y_stride + column0;
      if (bias) {
        for (int64_t j = 0; j < columns; ++j) to[j] = from[j] + bias[column0 + j];
      } else {
        std::copy_n(from, columns, to);
      }
    }
  });
}

void matmul_columns(const float* x, int64_t x_stride, int64_t m, const PackedMatrix& w,
                    const int32_t* ids, int64_t n_ids, float* y, int64_t y_stride,
                    ThreadPool& pool) {
  if (m == 0 || n_ids == 0) return;
  pool.launched(OpKind::matmul) += matmul_cost(m, n_ids, w.n_in(), w.dtype());
  const int64_t n_in = w.n_in();
  pool.parallel_for((n_ids + kColumnsAtOnce - 1) / kColumnsAtOnce, [&](int64_t task, int) {
    const int64_t j0 = task * kColumnsAtOnce;
    const int64_t columns = std::min(kColumnsAtOnce, n_ids - j0);
    std::vector<float> row(static_cast<size_t>(n_in)), tile(static_cast<size_t>(n_in * columns));
    for (int64_t j = 0; j < columns; ++j) {
      assert(ids[j0 + j] >= 0 && ids[j0 + j] < w.n_out());
      w.row(ids[j0 + j], row.data());
      for (int64_t k = 0; k < n_in; ++k) {
        tile[static_cast<size_t>(k * columns + j)] = row[static_cast<size_t>(k)];
      }
    }
    dense_tile_product(x, x_stride, m, tile.data(), columns, n_in, y + j0, y_stride);
  });
}

}  // namespace kernels
