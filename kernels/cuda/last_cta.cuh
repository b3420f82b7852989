// Owns how the thread blocks of a kernel find out which of them finishes last.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

// Is this CTA the last one of the grid to come here? It sees what the others wrote before. arrived:
// MoevalDevice::arrivals. All threads of the CTA.
__device__ inline bool comes_last(uint32_t* arrived) {
  __shared__ bool last;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicAdd(arrived, 1u) == gridDim.x * gridDim.y - 1;
    if (last) *arrived = 0;  // for the next kernel
    __threadfence();
  }
  __syncthreads();
  return last;
}

}  // namespace moeval_cuda
