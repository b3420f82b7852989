// Owns the order of rows by expert where a step has few rows: one CTA, a bit mask of rows for each
// expert. Contract: MoevalDeviceTable::dispatch.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

inline constexpr int kFewRows = 64;

// Shared memory of dispatch_few().
inline size_t few_scratch_bytes(int32_t n_experts) {
  return static_cast<size_t>(3 * n_experts) * sizeof(int);
}

// All THREADS of a CTA. m <= kFewRows.
template <int THREADS>
__device__ void dispatch_few(const int16_t* ids, int m, const MoevalDispatch& d,
                             unsigned* scratch) {
  constexpr int kWarps = THREADS / 32;
  unsigned* masks = scratch;  // [n_experts, 2]
  int* offsets = reinterpret_cast<int*>(masks + 2 * d.n_experts);
  __shared__ int warp_rows[kWarps], warp_experts[kWarps];
  const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32;
  const int pairs = m * kDeviceMaxChosen;
  for (int i = t; i < 2 * d.n_experts; i += THREADS) masks[i] = 0;
  __syncthreads();
  for (int i = t; i < pairs; i += THREADS) {
    const int expert = __ldcg(ids + i), row = i / kDeviceMaxChosen;
    if (expert >= 0) atomicOr(&masks[2 * expert + row / 32], 1u << (row % 32));
  }
  __syncthreads();
  // Exclusive sums over experts, THREADS of them at a time.
  int rows_before = 0, experts_before = 0;
  for (int first = 0; first < d.n_experts; first += THREADS) {
    const int e = first + t;
    const int count = e < d.n_experts ? __popc(masks[2 * e]) + __popc(masks[2 * e + 1]) : 0;
    int rows = count, experts = count > 0;
    for (int step = 1; step < 32; step *= 2) {
      const int r = __shfl_up_sync(0xffffffffu, rows, step);
      const int n = __shfl_up_sync(0xffffffffu, experts, step);
      if (lane >= step) rows += r, experts += n;
    }
    if (lane == 31) warp_rows[warp] = rows, warp_experts[warp] = experts;
    __syncthreads();
    int all_rows = rows_before, all_experts = experts_before;
    for (int w = 0; w < kWarps; ++w) {
      if (w < warp) rows += warp_rows[w], experts += warp_experts[w];
      all_rows += warp_rows[w], all_experts += warp_experts[w];
    }
    if (e < d.n_experts) {
      const int offset = rows_before + rows - count;
      offsets[e] = offset;
      d.counts[e] = count;
      d.offsets[e] = offset;
      if (count > 0) d.active[experts_before + experts - 1] = e;
    }
    rows_before = all_rows, experts_before = all_experts;
    __syncthreads();
  }
  if (t == 0) d.offsets[d.n_experts] = rows_before;
  for (int i = experts_before + t; i < d.n_experts; i += THREADS) d.active[i] = -1;
  for (int i = t; i < pairs; i += THREADS) {
    const int expert = __ldcg(ids + i), row = i / kDeviceMaxChosen;
    int place = -1;
    if (expert >= 0) {
      const unsigned low = masks[2 * expert], high = masks[2 * expert + 1];
      const unsigned below = (1u << (row % 32)) - 1;
      place =
          offsets[expert] + (row < 32 ? __popc(low & below) : __popc(low) + __popc(high & below));
      d.source[place] = row;
    }
    d.slot[i] = place;
  }
}

// The order of a single row: its experts `chosen`, in shared memory, also go to `ids`. All THREADS
// of a CTA.
template <int THREADS>
__device__ void dispatch_one(const int16_t* chosen, int16_t* ids, const MoevalDispatch& d) {
  const int t = static_cast<int>(threadIdx.x);
  int count = 0;
#pragma unroll
  for (int j = 0; j < kDeviceMaxChosen; ++j) count += chosen[j] >= 0;
  for (int e = t; e <= d.n_experts; e += THREADS) {
    int below = 0;
    bool runs = false;
#pragma unroll
    for (int j = 0; j < kDeviceMaxChosen; ++j) {
      below += chosen[j] >= 0 && chosen[j] < e;
      runs = runs || chosen[j] == e;
    }
    d.offsets[e] = below;
    if (e == d.n_experts) continue;
    d.counts[e] = runs;
    d.active[e] = e < count ? chosen[e] : -1;
  }
  if (t < kDeviceMaxChosen) {
    ids[t] = chosen[t];
    d.slot[t] = t < count ? t : -1;
    if (t < count) d.source[t] = 0;
  }
}

}  // namespace moeval_cuda
