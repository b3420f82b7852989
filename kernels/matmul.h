// Contract of the dense product of activations with packed weights.
#pragma once

#include <cstdint>

#include "kernels/cost.h"
#include "kernels/packed_matrix.h"

namespace kernels {

// y[m, n_out] = x[m, n_in] * W^T (+ bias[n_out] when bias is not null). Strides in floats.
// Order of reduction: for every weight type and every m the sum is acc = fma(x[k], w[k], acc)
// (portable: two roundings, x[k] * w[k] + acc) for k = 0..n_in-1 from acc = 0, w dequantised to
// fp32 first, bias added last; so a row's result does not depend on m, threads, or tile sizes, and
// a quantised matrix gives bitwise the result of its dequantised fp32 form.
void matmul(const float* x, int64_t x_stride, int64_t m, const PackedMatrix& w, const float* bias,
            float* y, int64_t y_stride, ThreadPool&);

// As matmul, but only output columns ids[0..n_ids): y[r * y_stride + j] = x[r] . W[ids[j]].
// Same order of reduction, bitwise equal to the matching columns of matmul.
void matmul_columns(const float* x, int64_t x_stride, int64_t m, const PackedMatrix& w,
                    const int32_t* ids, int64_t n_ids, float* y, int64_t y_stride, ThreadPool&);

// 2*m*n_out*n_in FLOPs; each stored weight byte once.
Cost matmul_cost(int64_t m, int64_t n_out, int64_t n_in, Dtype);

}  // namespace kernels
