// Owns attention of rows that are each a sequence of their own: bound by the reading of keys and
// values, which are read once for all query heads of their KV head.
//
// A thread block takes one row, one KV head and one split of the row's positions. kLanes lanes hold
// one position, 16 bytes each, for kStep positions in a row; each such slot has its own running
// softmax. Slots are merged at the end of the split, splits by the last thread block of a row and
// KV head to arrive, in a fixed order.
#include <cmath>

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/chain.cuh"
#include "kernels/cuda/decode_rope.cuh"

namespace moeval_cuda {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kStep = 4;
constexpr int kMaxGroup = kMaxDecodeGroup, kMaxHeads = 4;  // kMaxHeads: of one warp
constexpr int kBlocksPerSm = 4;                            // thread blocks wanted in a grid

struct DecodeArguments {
  const void* qkv;
  bool turns;  // queries, key and value of a row come as the product left them
  Rope rope;
  void* out;
  const int32_t* positions;
  const int32_t* table_at;
  void* const* tables;
  int layer, n_heads, n_kv_heads, d_head;
  int parts;  // warps that share a position, for some of the group's heads each: 1, 2 or 4
  float scale;
  // By (row, KV head): splits that have arrived. Then of (row, KV head, split, head of the group):
  // sums [d_head], and (largest score, total weight).
  uint32_t* arrived;
  float* sums;
  float* totals;
};

__device__ void unpack(const uint4& from, float (&x)[8], bf16) {
  const uint32_t words[4] = {from.x, from.y, from.z, from.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    x[2 * i] = __uint_as_float(words[i] << 16);
    x[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
  }
}
__device__ void unpack(const uint4& from, float (&x)[8], __half) {
  const uint32_t words[4] = {from.x, from.y, from.z, from.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    x[2 * i] = __half2float(__ushort_as_half(static_cast<unsigned short>(words[i] & 0xffffu)));
    x[2 * i + 1] = __half2float(__ushort_as_half(static_cast<unsigned short>(words[i] >> 16)));
  }
}

// Merges the splits of one row and KV head. Their sums come from other SMs: past this one's L1.
template <class T>
__device__ void merge_splits(const DecodeArguments& a, int64_t first_unit, int n_active, int group,
                             T* out) {
  __shared__ float weights[kMaxGroup][kMaxSplits];
  const int lane = threadIdx.x % 32;
  const float2* totals = reinterpret_cast<const float2*>(a.totals);
  for (int g = threadIdx.x / 32; g < group; g += kWarps) {
    float2 of[kMaxSplits / 32];
    float largest = kNoScore, total = 0.0f;
#pragma unroll
    for (int j = 0; j < kMaxSplits / 32; ++j) {
      const int s = lane + 32 * j;
      of[j] = s < n_active ? __ldcg(totals + (first_unit + s) * group + g)
                           : make_float2(kNoScore, 0.0f);
      largest = fmaxf(largest, of[j].x);
    }
    for (int o = 16; o > 0; o /= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, o));
    }
#pragma unroll
    for (int j = 0; j < kMaxSplits / 32; ++j) {
      of[j].x = exp2_fast(of[j].x - largest);
      total += of[j].x * of[j].y;
    }
    for (int o = 16; o > 0; o /= 2) total += __shfl_xor_sync(0xffffffffu, total, o);
#pragma unroll
    for (int j = 0; j < kMaxSplits / 32; ++j) weights[g][lane + 32 * j] = of[j].x / total;
  }
  __syncthreads();
  const int64_t stride = static_cast<int64_t>(group) * a.d_head;
  const float* sums = a.sums + first_unit * stride;
  for (int i = threadIdx.x; i < group * a.d_head; i += kThreads) {
    const int g = i / a.d_head;
    float sum = 0.0f;
#pragma unroll 8
    for (int s = 0; s < n_active; ++s) sum += weights[g][s] * __ldcg(sums + s * stride + i);
    out[i] = from_float<T>(sum);
  }
}

template <class T, int kLanes, int kHeads>
__global__ void __launch_bounds__(kThreads, kHeads > 2 ? 3 : 4)
    decode_kernel(const DecodeArguments a) {
  extern __shared__ uint4 turned[];  // [group, d_head] of T
  constexpr int kSlots = 32 / kLanes;
  const int row = blockIdx.x, kv_head = blockIdx.y, split = blockIdx.z, n_splits = gridDim.z;
  const int d = a.d_head, group = a.n_heads / a.n_kv_heads;
  await_previous();
  const int position = a.positions[row];
  if (position < 0) return;
  const KvSplit range = kv_split(position + 1, n_splits, split);
  if (range.begin >= range.end) return;
  const int n_active = active_splits(position + 1, n_splits);

  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int part = warp % a.parts, column = lane % kLanes * 8;
  const int slot = warp / a.parts * kSlots + lane / kLanes;
  const int stride = kWarps / a.parts * kSlots * kStep;
  const bool in_head = column < d;
  const int64_t keys_at = key_offset(a.layer, kv_head, a.n_kv_heads, d) + column;
  const int64_t values_at = value_offset(a.layer, kv_head, a.n_kv_heads, d) + column;

  void* const* table = a.tables + a.table_at[row];

  float q[kHeads][8], sums[kHeads][8], largest[kHeads], total[kHeads];
  const T* all =
      static_cast<const T*>(a.qkv) + static_cast<int64_t>(row) * (a.n_heads + 2 * a.n_kv_heads) * d;
  const T* queries = all + static_cast<int64_t>(kv_head) * group * d;
  if (a.turns) {
    DecodeRow<T> own{all, a.n_heads, a.n_kv_heads, d, kv_head, position, nullptr, nullptr};
    if (range.end == position + 1) {
      T* at = static_cast<T*>(table[position / kKvPositions]) + position % kKvPositions * d;
      own.key = at + keys_at - column;
      own.value = at + values_at - column;
    }
    turn_decode_row<T, kWarps>(own, a.rope, reinterpret_cast<T*>(turned));
    queries = reinterpret_cast<const T*>(turned);
  }
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    const int g = part * kHeads + h;
    uint4 packed{};
    if (g < group && in_head) {
      packed = *reinterpret_cast<const uint4*>(queries + g * d + column);
    }
    unpack(packed, q[h], T{});
    largest[h] = kNoScore;
    total[h] = 0.0f;
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      q[h][e] *= a.scale;
      sums[h][e] = 0.0f;
    }
  }

  // A slot's positions of one step are in one KV block, for kStep divides its size. A slot past the
  // end looks at the last position's block and reads nothing there.
  const int last = range.end - 1;
  int first = range.begin + slot * kStep;
  const T* next_block = static_cast<const T*>(table[min(first, last) / kKvPositions]);
  for (int begin = range.begin; begin < range.end; begin += stride, first += stride) {
    const T* block = next_block + first % kKvPositions * d;
    next_block = static_cast<const T*>(table[min(first + stride, last) / kKvPositions]);
    uint4 keys[kStep], values[kStep];
#pragma unroll
    for (int u = 0; u < kStep; ++u) {
      keys[u] = values[u] = uint4{};
      if (in_head && first + u < range.end) {
        keys[u] = *reinterpret_cast<const uint4*>(block + keys_at + u * d);
        values[u] = *reinterpret_cast<const uint4*>(block + values_at + u * d);
      }
    }
    float s[kHeads][kStep];
#pragma unroll
    for (int u = 0; u < kStep; ++u) {
      float key[8];
      unpack(keys[u], key, T{});
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
        s[h][u] = 0.0f;
#pragma unroll
        for (int e = 0; e < 8; ++e) s[h][u] += q[h][e] * key[e];
      }
    }
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      float next = largest[h];
#pragma unroll
      for (int u = 0; u < kStep; ++u) {
#pragma unroll
        for (int o = kLanes / 2; o > 0; o /= 2) {
          s[h][u] += __shfl_xor_sync(0xffffffffu, s[h][u], o);
        }
        if (first + u >= range.end) s[h][u] = -INFINITY;
        next = fmaxf(next, s[h][u]);
      }
      const float kept = exp2_fast(largest[h] - next);
      largest[h] = next;
      total[h] *= kept;
#pragma unroll
      for (int e = 0; e < 8; ++e) sums[h][e] *= kept;
#pragma unroll
      for (int u = 0; u < kStep; ++u) {
        s[h][u] = exp2_fast(s[h][u] - next);
        total[h] += s[h][u];
      }
    }
#pragma unroll
    for (int u = 0; u < kStep; ++u) {
      float value[8];
      unpack(values[u], value, T{});
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
#pragma unroll
        for (int e = 0; e < 8; ++e) sums[h][e] += s[h][u] * value[e];
      }
    }
  }

  // The slots of a warp, then the warps that have the same heads.
  __shared__ __align__(16) float warp_sums[kWarps][kHeads][kLanes * 8];
  __shared__ float warp_largest[kWarps][kHeads], warp_total[kWarps][kHeads];
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
#pragma unroll
    for (int o = kLanes; o < 32; o *= 2) {
      const float other = __shfl_xor_sync(0xffffffffu, largest[h], o);
      const float next = fmaxf(largest[h], other);
      const float mine = exp2_fast(largest[h] - next), its = exp2_fast(other - next);
      largest[h] = next;
      total[h] = total[h] * mine + __shfl_xor_sync(0xffffffffu, total[h], o) * its;
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        sums[h][e] = sums[h][e] * mine + __shfl_xor_sync(0xffffffffu, sums[h][e], o) * its;
      }
    }
    if (lane < kLanes) {
      float4* to = reinterpret_cast<float4*>(&warp_sums[warp][h][column]);
      to[0] = make_float4(sums[h][0], sums[h][1], sums[h][2], sums[h][3]);
      to[1] = make_float4(sums[h][4], sums[h][5], sums[h][6], sums[h][7]);
    }
    if (lane == 0) {
      warp_largest[warp][h] = largest[h];
      warp_total[warp][h] = total[h];
    }
  }
  __syncthreads();

  const int64_t pair = static_cast<int64_t>(row) * a.n_kv_heads + kv_head;
  const int64_t unit = pair * n_splits + split;
  T* out = static_cast<T*>(a.out) + pair * group * d;
  for (int i = threadIdx.x; i < group * d; i += kThreads) {
    const int g = i / d, h = g % kHeads;
    float most = kNoScore, weight = 0.0f, sum = 0.0f;
    for (int w = g / kHeads; w < kWarps; w += a.parts) most = fmaxf(most, warp_largest[w][h]);
    for (int w = g / kHeads; w < kWarps; w += a.parts) {
      const float share = exp2_fast(warp_largest[w][h] - most);
      weight += share * warp_total[w][h];
      sum += share * warp_sums[w][h][i % d];
    }
    if (n_active == 1) {
      out[i] = from_float<T>(sum / weight);
    } else {
      a.sums[unit * group * d + i] = sum;
      if (i % d == 0) {
        reinterpret_cast<float2*>(a.totals)[unit * group + g] = make_float2(most, weight);
      }
    }
  }
  if (n_active == 1) return;

  __shared__ bool is_last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    is_last = atomicAdd(a.arrived + pair, 1u) == static_cast<uint32_t>(n_active) - 1;
    __threadfence();
  }
  __syncthreads();
  if (!is_last) return;
  if (threadIdx.x == 0) a.arrived[pair] = 0;  // for the next launch: nobody else will come
  merge_splits<T>(a, unit - split, n_active, group, out);
}

template <class T, int kLanes>
void launch(MoevalDevice& device, int heads, dim3 grid, const DecodeArguments& a) {
  const size_t shared =
      a.turns ? static_cast<size_t>(a.n_heads / a.n_kv_heads * a.d_head) * sizeof(T) : 0;
  const auto run = [&](auto kernel) {
    launch_chained(device, kernel, grid, kThreads, shared, "attention_decode", a);
  };
  switch (heads) {
    case 1:
      return run(decode_kernel<T, kLanes, 1>);
    case 2:
      return run(decode_kernel<T, kLanes, 2>);
    case 3:
      return run(decode_kernel<T, kLanes, 3>);
    default:
      return run(decode_kernel<T, kLanes, kMaxHeads>);
  }
}

template <class T>
void launch(MoevalDevice& device, int heads, dim3 grid, const DecodeArguments& a) {
  if (a.d_head <= 64) return launch<T, 8>(device, heads, grid, a);
  if (a.d_head <= 128) return launch<T, 16>(device, heads, grid, a);
  launch<T, 32>(device, heads, grid, a);
}

int64_t wanted_blocks(const MoevalDevice& device) { return kBlocksPerSm * device.sms(); }

}  // namespace

bool decode_takes(const MoevalHeads& heads) {
  return heads.type != kDeviceF32 && heads.d_head % 8 == 0 && heads.d_head <= 256 &&
         heads.n_heads / heads.n_kv_heads <= kMaxGroup;
}

// Counters come first and are of a fixed number, for what follows is of as many splits as a launch
// has. grid_splits() has the bounds of both.
uint64_t attention_scratch(const MoevalDevice& device, const MoevalHeads& heads, int64_t) {
  const auto units = static_cast<uint64_t>(2 * wanted_blocks(device));
  const auto group = static_cast<uint64_t>(heads.n_heads / heads.n_kv_heads);
  const auto d_head = static_cast<uint64_t>(heads.d_head);
  return (units / 2 + units * group * (d_head + 2)) * sizeof(float);
}

void attention_decode(MoevalDevice& device, const MoevalHeads& heads, const MoevalRows& rows,
                      int32_t layer, const void* qkv, const Rope* rope, void* out, void* scratch) {
  if (rows.m == 0) return;
  const int64_t pairs = rows.m * heads.n_kv_heads, wanted = wanted_blocks(device);
  const int64_t splits = grid_splits(pairs, wanted), group = heads.n_heads / heads.n_kv_heads;
  const int64_t parts = group <= kMaxHeads ? 1 : group <= 2 * kMaxHeads ? 2 : 4;
  auto* counters = static_cast<uint32_t*>(scratch);
  auto* sums = reinterpret_cast<float*>(counters + wanted);
  const DecodeArguments a{qkv,
                          rope != nullptr,
                          rope ? *rope : Rope{},
                          out,
                          rows.positions,
                          rows.table_at,
                          rows.tables,
                          layer,
                          static_cast<int>(heads.n_heads),
                          static_cast<int>(heads.n_kv_heads),
                          static_cast<int>(heads.d_head),
                          static_cast<int>(parts),
                          score_scale_log2(heads.d_head),
                          counters,
                          sums,
                          sums + pairs * splits * group * heads.d_head};
  const dim3 grid(static_cast<unsigned>(rows.m), static_cast<unsigned>(heads.n_kv_heads),
                  static_cast<unsigned>(splits));
  const int warp_heads = static_cast<int>(ceil_div(group, parts));
  if (heads.type == kDeviceF16) {
    launch<__half>(device, warp_heads, grid, a);
  } else {
    launch<bf16>(device, warp_heads, grid, a);
  }
}

}  // namespace moeval_cuda
