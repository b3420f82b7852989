// Contract of the products of a step of one row: a warp for each weight row, no tensor cores. What
// costs there is the way from memory and the time between kernels, so weights are asked for before
// the row is known wherever that can be.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

// 16-bit types, rows of a multiple of 16 bytes that fit shared memory.
bool one_row_takes(int32_t type, int64_t n_in);

// As MoevalDeviceTable::matmul with m = 1.
void matmul_one_row(MoevalDevice&, int32_t type, const void* x, const void* w, int64_t n_out,
                    int64_t n_in, const float* bias, int32_t y_type, bool accumulate, void* y);
// As MoevalDeviceTable::norm_matmul with m = 1; `normed` stays as it is.
void norm_matmul_one_row(MoevalDevice&, const MoevalNormMatmul&);

// As MoevalDeviceTable::experts_combine with m = 1, of one stack of all experts and without a norm;
// y and gathered stay as they are.
bool experts_one_row_takes(const MoevalExperts&);
void experts_one_row(MoevalDevice&, const MoevalExperts&, int32_t n_experts, const MoevalCombine&);

}  // namespace moeval_cuda
