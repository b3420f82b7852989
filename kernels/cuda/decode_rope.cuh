// Owns what a thread block of decode attention does to its row before it attends: norm and rotary
// embedding of its queries and, if the row's own position is among the block's, of its key, which
// goes with the value to their KV block.
#pragma once

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/rope_row.cuh"
#include "kernels/cuda/row_stream.cuh"

namespace moeval_cuda {

// One row's heads as one thread block sees them.
template <class T>
struct DecodeRow {
  const T* row;  // queries, keys, values
  int n_heads, n_kv_heads, d_head, kv_head, position;
  T *key, *value;  // where the position's are stored; null: another block does it
};

template <class T>
__device__ float squares_of(const T* x, int n) {
  float sum = 0;
  for (int i = threadIdx.x; i < n / kValues<T>; i += blockDim.x) {
    const uint4 v = reinterpret_cast<const uint4*>(x)[i];
    sum = dot<T>(v, v, sum);
  }
  return sum;
}

// What the group's queries (0..group-1) and the key (group) are multiplied by.
template <class T, int WARPS>
__device__ void decode_scales(const DecodeRow<T>& r, const MoevalQkNorm& norm, int group,
                              float* scales) {
  __shared__ float part[2][WARPS];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const T* keys = r.row + r.n_heads * r.d_head;
  if (!norm.whole) {
    for (int h = warp; h <= group; h += WARPS) {
      const T* head =
          h < group ? r.row + (r.kv_head * group + h) * r.d_head : keys + r.kv_head * r.d_head;
      float sum = 0;
      for (int i = lane; i < r.d_head / kValues<T>; i += 32) {
        const uint4 v = reinterpret_cast<const uint4*>(head)[i];
        sum = dot<T>(v, v, sum);
      }
      sum = lane_sum(sum);
      if (lane == 0) scales[h] = 1.0f / sqrtf(sum / static_cast<float>(r.d_head) + norm.eps);
    }
    __syncthreads();
    return;
  }
  const int n[2] = {r.n_heads * r.d_head, r.n_kv_heads * r.d_head};
  const float sums[2] = {squares_of(r.row, n[0]), r.key ? squares_of(keys, n[1]) : 0.0f};
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float sum = lane_sum(sums[i]);
    if (lane == 0) part[i][warp] = sum;
  }
  __syncthreads();
  for (int h = threadIdx.x; h <= group; h += blockDim.x) {
    float sum = 0;
    for (int w = 0; w < WARPS; ++w) sum += part[h == group][w];
    scales[h] = 1.0f / sqrtf(sum / static_cast<float>(n[h == group]) + norm.eps);
  }
  __syncthreads();
}

template <class T, int WARPS, bool kInterleaved>
__device__ void turn_decode_units(const DecodeRow<T>& r, const Rope& rope, const float* scales,
                                  T* queries) {
  const int group = r.n_heads / r.n_kv_heads, d = r.d_head, half = static_cast<int>(rope.d_rot) / 2;
  const int units = half + (d - 2 * half) / 2, heads = group + (r.key ? 2 : 0);
  const float* turn = rope.cos_sin + static_cast<int64_t>(r.position) * half * 2;
  for (int i = threadIdx.x; i < heads * units; i += WARPS * 32) {
    const int h = i / units, unit = i % units;
    const bool is_query = h < group, is_value = h == group + 1;
    const int head =
        is_query ? r.kv_head * group + h : r.n_heads + (is_value ? r.n_kv_heads : 0) + r.kv_head;
    const bool norms = rope.norm.q && !is_value;
    const float* weight = !norms ? nullptr : is_query ? rope.norm.q : rope.norm.k;
    if (norms && rope.norm.whole) weight += (is_query ? head : r.kv_head) * d;
    const HeadTurn how{weight, norms ? scales[h] : 1.0f, is_value ? nullptr : turn, d, half};
    turned_unit<T, 1, kInterleaved>(how, r.row + head * d, unit)
        .store(is_query   ? queries + h * d
               : is_value ? r.value
                          : r.key);
  }
}

// queries [group, d_head] in shared memory. All threads of the block, which can read the queries,
// the key and the value when it returns. d_head is even.
template <class T, int WARPS>
__device__ void turn_decode_row(const DecodeRow<T>& r, const Rope& rope, T* queries) {
  __shared__ float scales[kMaxDecodeGroup + 1];
  const int group = r.n_heads / r.n_kv_heads;
  if (rope.norm.q) decode_scales<T, WARPS>(r, rope.norm, group, scales);
  if (rope.interleaved) {
    turn_decode_units<T, WARPS, true>(r, rope, scales, queries);
  } else {
    turn_decode_units<T, WARPS, false>(r, rope, scales, queries);
  }
  __syncthreads();
}

}  // namespace moeval_cuda
