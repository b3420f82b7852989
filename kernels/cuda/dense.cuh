// Contract of dense products: MoevalDeviceTable::matmul, norm_matmul.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

void matmul(MoevalDevice&, int32_t type, const void* x, int64_t m, const void* w, int64_t n_out,
            int64_t n_in, const float* bias, int32_t y_type, bool accumulate, void* y);

void norm_matmul(MoevalDevice&, const MoevalNormMatmul&);

// The cuBLAS one alone, without bias: y [m, n_out] = x W^T (+ y).
void matmul_blas(MoevalDevice&, int32_t type, const void* x, int64_t m, const void* w,
                 int64_t n_out, int64_t n_in, int32_t y_type, bool accumulate, void* y);

}  // namespace moeval_cuda
