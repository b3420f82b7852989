// Owns the PTX of Hopper that the kernels use: barriers, tensor copies, wgmma. Compiled for sm_90a.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/context.cuh"

namespace moeval_cuda::hopper {

__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

__device__ inline void barrier_init(uint32_t barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
// Makes initialised barriers known to the copy engine; a barrier of the CTA must follow.
__device__ inline void fence_barrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
__device__ inline void barrier_expect(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
// One arrival of the warp, by the lane whose `mine` is set.
__device__ inline void barrier_arrive(uint32_t barrier, bool mine) {
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "setp.ne.u32 p, %1, 0;\n"
      "@p mbarrier.arrive.shared::cta.b64 _, [%0];\n"
      "}" ::"r"(barrier),
      "r"(static_cast<uint32_t>(mine))
      : "memory");
}
// Waits until the phase of that parity is over. Of a fresh barrier, parity 1 is.
__device__ inline void barrier_wait(uint32_t barrier, uint32_t parity) {
  uint32_t done = 0;
  do {
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n"
        "}"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
  } while (!done);
}

__device__ inline void prefetch_map(const CUtensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
// The map's box at (row, column) to shared memory; its bytes count towards the barrier's phase.
__device__ inline void copy_box(uint32_t to, const CUtensorMap* map, int32_t column, int32_t row,
                                uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
      "l"(map), "r"(column), "r"(row), "r"(barrier)
      : "memory");
}

template <int REGISTERS>
__device__ inline void registers_up() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}
template <int REGISTERS>
__device__ inline void registers_down() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

// Four 8x8 matrices of 16-bit values; lane l gives the address of row l % 8 of matrix l / 8.
__device__ inline void store_matrices(uint32_t address, uint32_t r0, uint32_t r1, uint32_t r2,
                                      uint32_t r3) {
  asm volatile(
      "stmatrix.sync.aligned.m8n8.x4.shared::cta.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
      "r"(r0), "r"(r1), "r"(r2), "r"(r3)
      : "memory");
}

__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int PENDING>
__device__ inline void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}
// Keeps the compiler from moving reads or writes of accumulators over this point.
template <int N>
__device__ inline void pin(float (&c)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) asm volatile("" : "+f"(c[i])::"memory");
}

// clang-format off
#define MOEVAL_C8(i) "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3]), \
                     "+f"(c[i + 4]), "+f"(c[i + 5]), "+f"(c[i + 6]), "+f"(c[i + 7])
#define MOEVAL_C64(i) MOEVAL_C8(i), MOEVAL_C8(i + 8), MOEVAL_C8(i + 16), MOEVAL_C8(i + 24), \
                      MOEVAL_C8(i + 32), MOEVAL_C8(i + 40), MOEVAL_C8(i + 48), MOEVAL_C8(i + 56)

#define MOEVAL_WGMMA_N128(TYPE) \
  asm volatile("{\n" ".reg .pred p;\n" "setp.ne.b32 p, %66, 0;\n" \
        "wgmma.mma_async.sync.aligned.m64n128k16.f32." TYPE "." TYPE " {" \
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, " \
        "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, " \
        "%34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, " \
        "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63" \
        "}, %64, %65, p, 1, 1, 0, 0;\n" "}" \
        : MOEVAL_C64(0) \
        : "l"(a), "l"(b), "r"(accumulate))
#define MOEVAL_WGMMA_N256(TYPE) \
  asm volatile("{\n" ".reg .pred p;\n" "setp.ne.b32 p, %130, 0;\n" \
        "wgmma.mma_async.sync.aligned.m64n256k16.f32." TYPE "." TYPE " {" \
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, " \
        "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, " \
        "%34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, " \
        "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, %64, %65, " \
        "%66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, " \
        "%82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, " \
        "%98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
        "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, " \
        "%126, %127" \
        "}, %128, %129, p, 1, 1, 0, 0;\n" "}" \
        : MOEVAL_C64(0), MOEVAL_C64(64) \
        : "l"(a), "l"(b), "r"(accumulate))
// clang-format on

// c (+)= A B^T over k 16: A 64 rows, B 128 or 256 rows, both K-major by descriptor; c is added to
// where accumulate is not 0. Thread t of the warpgroup has rows 16 (t / 32) + t % 32 / 4 (+ 8) and,
// in c[4 j ..], columns 8 j + 2 (t % 4), + 1 of the first row and then of the second.
template <class T>
__device__ inline void wgmma(float (&c)[64], uint64_t a, uint64_t b, int accumulate) {
  if constexpr (std::is_same_v<T, bf16>) {
    MOEVAL_WGMMA_N128("bf16");
  } else {
    MOEVAL_WGMMA_N128("f16");
  }
}
template <class T>
__device__ inline void wgmma(float (&c)[128], uint64_t a, uint64_t b, int accumulate) {
  if constexpr (std::is_same_v<T, bf16>) {
    MOEVAL_WGMMA_N256("bf16");
  } else {
    MOEVAL_WGMMA_N256("f16");
  }
}

#undef MOEVAL_WGMMA_N256
#undef MOEVAL_WGMMA_N128
#undef MOEVAL_C64
#undef MOEVAL_C8

}  // namespace moeval_cuda::hopper
