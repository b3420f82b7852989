// Owns the launch of kernels that follow each other closely (programmatic dependent launch): the
// next one's blocks are brought up while this one still runs, which hides most of the time between
// two small kernels.
//
// A kernel launched by launch_chained() must call await_previous() or await_previous_alone() in
// every thread before it reads or writes anything that an earlier kernel touches, and must not
// return before: what comes after it relies on that. What never changes during a step (weights,
// positions) may be asked for before.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

// Lets the next kernel come up; then returns when all earlier ones are done and their writes can be
// seen.
__device__ inline void await_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// The other way round: when the next kernel comes up, all kernels before this one are done, and
// what they wrote can be read without waiting.
__device__ inline void await_previous_alone() {
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
