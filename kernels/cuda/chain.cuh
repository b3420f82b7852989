// Owns the launch of kernels that follow each other closely (programmatic dependent launch): the
// next one's blocks are brought up while this one still runs, which hides most of the time between
// two small kernels.
//
// A kernel launched by launch_chained() must call await_previous() in every thread before it reads
// or writes anything that an earlier kernel touches, and must not return before: what comes after
// it relies on that. What never changes (weights) may be asked for before.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

// Returns when all earlier kernels are done and their writes can be seen; then lets the next kernel
// come up.
__device__ inline void await_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

__device__ inline void prefetch_to_l2(const void* p) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

template <class... P, class... A>
void launch_chained(MoevalDevice& device, void (*kernel)(P...), dim3 grid, dim3 block,
                    size_t shared_bytes, const char* what, A... args) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = device.stream;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  // Only where the code that runs is compiled for Hopper: elsewhere it is that of compute_80, whose
  // await_previous() waits for nothing.
  config.numAttrs = device.is_hopper() ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...), what);
}

}  // namespace moeval_cuda
