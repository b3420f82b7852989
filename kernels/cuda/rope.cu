// Owns the rotary embedding of queries and keys, and the storing of keys and values in their block.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/chain.cuh"
#include "kernels/cuda/rope_row.cuh"

namespace moeval_cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kMaxNormHeads = 1024;  // of queries and keys

template <class T>
struct RopeArguments {
  T* qkv;
  const float* cos_sin;
  const int32_t* positions;
  const int32_t* table_at;
  void* const* tables;
  int layer, n_heads, n_kv_heads, d_head, d_rot, units;  // units of one head
  MoevalQkNorm norm;
};

// What the heads of queries and keys of a row are multiplied by, apart from the norm's weights.
template <class T>
__device__ void norm_scales(const RopeArguments<T>& a, const T* row, float* scales) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, heads = a.n_heads + a.n_kv_heads;
  for (int h = warp; h < heads; h += kThreads / 32) {
    float sum = 0;
    for (int i = lane; i < a.d_head; i += 32) {
      const float v = to_float(row[h * a.d_head + i]);
      sum = fmaf(v, v, sum);
    }
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    if (lane == 0) scales[h] = sum;
  }
  __syncthreads();
  float mine[kMaxNormHeads / kThreads];  // of the heads that this thread finishes
#pragma unroll
  for (int j = 0; j < kMaxNormHeads / kThreads; ++j) {
    const int h = j * kThreads + static_cast<int>(threadIdx.x);
    if (h >= heads) continue;
    float sum = scales[h];
    int n = a.d_head;
    if (a.norm.whole) {
      const int first = h < a.n_heads ? 0 : a.n_heads, end = h < a.n_heads ? a.n_heads : heads;
      sum = 0;
      for (int other = first; other < end; ++other) sum += scales[other];
      n = (end - first) * a.d_head;
    }
    mine[j] = 1.0f / sqrtf(sum / static_cast<float>(n) + a.norm.eps);
  }
  __syncthreads();
#pragma unroll
  for (int j = 0; j < kMaxNormHeads / kThreads; ++j) {
    const int h = j * kThreads + static_cast<int>(threadIdx.x);
    if (h < heads) scales[h] = mine[j];
  }
  __syncthreads();
}

template <class T, int kWidth, bool kInterleaved>
__device__ void rope_unit(const RopeArguments<T>& a, int row, int position, int head, int unit,
                          const float* scales) {
  const int n_groups = a.n_heads + 2 * a.n_kv_heads, half = a.d_rot / 2;
  const bool is_query = head < a.n_heads, is_value = head >= a.n_heads + a.n_kv_heads;
  const bool turns = !is_value && unit < half / kWidth, norms = !is_value && a.norm.q;
  if (is_query && !turns && !norms) return;

  const float* weight = !norms ? nullptr : is_query ? a.norm.q : a.norm.k;
  if (norms && a.norm.whole) weight += (is_query ? head : head - a.n_heads) * a.d_head;
  const float* turn = turns ? a.cos_sin + static_cast<int64_t>(position) * half * 2 : nullptr;
  const HeadTurn how{weight, norms ? scales[head] : 1.0f, turn, a.d_head, half};
  T* x = a.qkv + (static_cast<int64_t>(row) * n_groups + head) * a.d_head;
  const auto turned = turned_unit<T, kWidth, kInterleaved>(how, x, unit);
  if (turns || norms) turned.store(x);
  if (is_query) return;
  const int kv_head = head - a.n_heads - (is_value ? a.n_kv_heads : 0);
  const int64_t offset = is_value ? value_offset(a.layer, kv_head, a.n_kv_heads, a.d_head)
                                  : key_offset(a.layer, kv_head, a.n_kv_heads, a.d_head);
  T* block = static_cast<T*>(a.tables[a.table_at[row] + position / kKvPositions]);
  turned.store(block + offset + position % kKvPositions * a.d_head);
}

// A CTA for each row.
template <class T, int kWidth, bool kInterleaved>
__global__ void __launch_bounds__(kThreads) rope_kernel(const RopeArguments<T> a) {
  __shared__ float scales[kMaxNormHeads];
  await_previous();
  const int row = blockIdx.x, position = a.positions[row];
  if (position < 0) return;
  const int n_groups = a.n_heads + 2 * a.n_kv_heads;
  if (a.norm.q) norm_scales(a, a.qkv + static_cast<int64_t>(row) * n_groups * a.d_head, scales);
  for (int i = threadIdx.x; i < n_groups * a.units; i += kThreads) {
    rope_unit<T, kWidth, kInterleaved>(a, row, position, i / a.units, i % a.units, scales);
  }
}

template <class T, int kWidth>
void launch(MoevalDevice& device, RopeArguments<T> a, int64_t m, bool interleaved) {
  a.units = turn_units(a.d_head, a.d_rot, kWidth);
  const dim3 grid(static_cast<unsigned>(m));
  if (interleaved) {
    launch_chained(device, rope_kernel<T, kWidth, true>, grid, kThreads, 0, "rope_and_store", a);
  } else {
    launch_chained(device, rope_kernel<T, kWidth, false>, grid, kThreads, 0, "rope_and_store", a);
  }
}

}  // namespace

void check_rope(const MoevalHeads& heads, const Rope& rope) {
  if (rope.d_rot < 0 || rope.d_rot % 2 != 0 || rope.d_rot > heads.d_head) {
    throw DeviceError("rope_and_store: " + std::to_string(rope.d_rot) + " of " +
                      std::to_string(heads.d_head) + " elements of a head cannot turn in pairs");
  }
  if (rope.norm.q && heads.n_heads + heads.n_kv_heads > kMaxNormHeads) {
    throw DeviceError("rope_and_store: " + std::to_string(heads.n_heads + heads.n_kv_heads) +
                      " heads to norm, at most " + std::to_string(kMaxNormHeads));
  }
}

void rope_and_store(MoevalDevice& device, const MoevalHeads& heads, const MoevalRows& rows,
                    int32_t layer, void* qkv, const Rope& rope) {
  check_rope(heads, rope);
  if (rows.m == 0) return;
  with_type(heads.type, [&](auto zero) {
    using T = decltype(zero);
    const RopeArguments<T> a{static_cast<T*>(qkv),
                             rope.cos_sin,
                             rows.positions,
                             rows.table_at,
                             rows.tables,
                             layer,
                             static_cast<int>(heads.n_heads),
                             static_cast<int>(heads.n_kv_heads),
                             static_cast<int>(heads.d_head),
                             static_cast<int>(rope.d_rot),
                             0,
                             rope.norm};
    if (rope.d_rot % 8 == 0 && heads.d_head % 8 == 0) {
      launch<T, 4>(device, a, rows.m, rope.interleaved);
    } else {
      launch<T, 1>(device, a, rows.m, rope.interleaved);
    }
  });
}

}  // namespace moeval_cuda
