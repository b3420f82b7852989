// Contract of the products over experts on Hopper's tensor cores.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

// Experts of one call of the tensor path: a CTA keeps where each one's tiles begin.
constexpr int32_t kTensorMaxExperts = 512;

// 16-bit types on sm_90, d and width multiples of 8, pointers of 16 bytes.
bool tensor_takes(const MoevalDevice&, const MoevalExperts&);

// kDevicePathTensor: both products. `gathered` holds the rows of the call's experts by place.
// tile_rows: 128, or 64 for experts with few rows. Throws DeviceError unless tensor_takes().
void experts_tensor(MoevalDevice&, const MoevalExperts&, const MoevalDispatch&, int tile_rows);

}  // namespace moeval_cuda
