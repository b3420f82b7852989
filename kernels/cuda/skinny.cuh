// Contract of products with few rows: every weight is read once, straight into registers.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

// 16-bit types whose rows are a multiple of 16 bytes.
bool skinny_takes(int32_t type, int64_t n_in);

// As MoevalDeviceTable::matmul; x [m, n_in] contiguous.
void matmul_skinny(MoevalDevice&, int32_t type, const void* x, int64_t m, const void* w,
                   int64_t n_out, int64_t n_in, const float* bias, int32_t y_type, bool accumulate,
                   void* y);

// kDevicePathSkinny: both products; no row is moved to its expert, `gathered` stays untouched.
void experts_skinny(MoevalDevice&, const MoevalExperts&, const MoevalDispatch&);

}  // namespace moeval_cuda
