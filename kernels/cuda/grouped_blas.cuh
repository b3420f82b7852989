// Contract of the products over experts by cuBLAS.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

// kDevicePathGrouped and, grouped false, kDevicePathLooped. `gathered` holds the rows by place.
// Waits for the stream: the counts come to the host. `hidden` must have room for 2 * places *
// width.
void experts_blas(MoevalDevice&, const MoevalExperts&, const MoevalDispatch&, bool grouped);

}  // namespace moeval_cuda
