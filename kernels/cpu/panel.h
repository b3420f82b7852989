// Owns the product of a block of rows with one panel of a packed matrix, in the calling thread:
// what matmul and expert_ffn hand out as tasks.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/packed_matrix.h"

namespace kernels {

// Rows of one task: their activations stay in the second-level cache while panels pass by.
inline constexpr int64_t kTaskRows = 120;

// Rows of w in a panel: kPanelRows, fewer in the last one.
inline int64_t panel_columns(const PackedMatrix& w, int64_t panel) {
  return std::min(kPanelRows, w.n_out() - panel * kPanelRows);
}

// c[rows, kPanelRows] = x[rows, n_in] . panel^T, in matmul's order of reduction. Columns past
// panel_columns() hold anything.
void panel_product(const PackedMatrix& w, int64_t panel, const float* x, int64_t x_stride,
                   int64_t rows, float* c);

// y[rows, columns] = x . w, w [n_in, columns] fp32, in the same order.
void dense_tile_product(const float* x, int64_t x_stride, int64_t rows, const float* w,
                        int64_t columns, int64_t n_in, float* y, int64_t y_stride);

// h[i] = silu(gate[i]) * up[i], n floats: the bits of kernels::swiglu.
void swiglu_row(const float* gate, const float* up, int64_t n, float* h);

}  // namespace kernels
