// Owns attention of any element type and shape, one warp per row and head, in fp32 with the exact
// exponential; and the choice between it and the kernels that only take some.
#include <cmath>

#include "kernels/cuda/attention.cuh"

namespace moeval_cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kMaxHead = 256;
constexpr int kStep = 4;  // positions at once: their sums over lanes overlap

template <class T>
struct PlainArguments {
  const T* qkv;
  T* out;
  const int32_t* positions;
  const int32_t* table_at;
  void* const* tables;
  int64_t m;
  int layer, n_heads, n_kv_heads, d_head;
  float scale;
};

// Element i of a head is held by lane i % 32.
template <class T, int kParts>
__global__ void __launch_bounds__(32 * kWarps, 6) plain_kernel(const PlainArguments<T> a) {
  const int64_t warp = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  const int lane = threadIdx.x % 32, d = a.d_head;
  const int64_t row = warp / a.n_heads;
  const int head = static_cast<int>(warp % a.n_heads);
  if (row >= a.m) return;
  const int position = a.positions[row];
  if (position < 0) return;
  const int kv_head = head / (a.n_heads / a.n_kv_heads);
  const int64_t keys_at = key_offset(a.layer, kv_head, a.n_kv_heads, d);
  const int64_t values_at = value_offset(a.layer, kv_head, a.n_kv_heads, d);
  void* const* table = a.tables + a.table_at[row];

  float q[kParts], sums[kParts] = {};
  const T* query = a.qkv + (row * (a.n_heads + 2 * a.n_kv_heads) + head) * d;
#pragma unroll
  for (int j = 0; j < kParts; ++j) {
    const int i = lane + 32 * j;
    q[j] = i < d ? to_float(query[i]) * a.scale : 0.0f;
  }
  float largest = -INFINITY, total = 0.0f;
  for (int begin = 0; begin <= position; begin += kStep) {
    const T* block = static_cast<const T*>(table[begin / kKvPositions]);
    const int64_t at = static_cast<int64_t>(begin % kKvPositions) * d;
    const T* keys = block + keys_at + at;
    const T* values = block + values_at + at;
    float s[kStep];
#pragma unroll
    for (int u = 0; u < kStep; ++u) {
      s[u] = 0.0f;
#pragma unroll
      for (int j = 0; j < kParts; ++j) {
        const int i = lane + 32 * j;
        if (i < d && begin + u <= position) s[u] += q[j] * to_float(keys[u * d + i]);
      }
    }
    float next = largest;
#pragma unroll
    for (int u = 0; u < kStep; ++u) {
      for (int o = 16; o > 0; o /= 2) s[u] += __shfl_xor_sync(0xffffffffu, s[u], o);
      if (begin + u > position) s[u] = -INFINITY;
      next = fmaxf(next, s[u]);
    }
    const float kept = expf(largest - next);  // the step's first position is visible: next > -inf
    largest = next;
    total *= kept;
#pragma unroll
    for (int j = 0; j < kParts; ++j) sums[j] *= kept;
#pragma unroll
    for (int u = 0; u < kStep; ++u) {
      if (begin + u > position) break;
      const float weight = expf(s[u] - largest);
      total += weight;
#pragma unroll
      for (int j = 0; j < kParts; ++j) {
        const int i = lane + 32 * j;
        if (i < d) sums[j] += weight * to_float(values[u * d + i]);
      }
    }
  }
  T* out = a.out + (row * a.n_heads + head) * d;
#pragma unroll
  for (int j = 0; j < kParts; ++j) {
    const int i = lane + 32 * j;
    if (i < d) out[i] = from_float<T>(sums[j] / total);
  }
}

}  // namespace

void attention_plain(MoevalDevice& device, const MoevalHeads& heads, const MoevalRows& rows,
                     int32_t layer, const void* qkv, void* out) {
  if (rows.m == 0) return;
  with_type(heads.type, [&](auto zero) {
    using T = decltype(zero);
    const PlainArguments<T> a{static_cast<const T*>(qkv),
                              static_cast<T*>(out),
                              rows.positions,
                              rows.table_at,
                              rows.tables,
                              rows.m,
                              layer,
                              static_cast<int>(heads.n_heads),
                              static_cast<int>(heads.n_kv_heads),
                              static_cast<int>(heads.d_head),
                              1.0f / std::sqrt(static_cast<float>(heads.d_head))};
    const auto grid = static_cast<unsigned>(ceil_div(rows.m * heads.n_heads, kWarps));
    if (heads.d_head <= 64) {
      plain_kernel<T, 2><<<grid, 32 * kWarps, 0, device.stream>>>(a);
    } else if (heads.d_head <= 128) {
      plain_kernel<T, 4><<<grid, 32 * kWarps, 0, device.stream>>>(a);
    } else {
      plain_kernel<T, kMaxHead / 32><<<grid, 32 * kWarps, 0, device.stream>>>(a);
    }
    check_launch("attention_plain");
  });
}

void attention(MoevalDevice& device, const MoevalHeads& heads, const MoevalRows& rows,
               int32_t layer, const void* qkv, void* out, void* scratch) {
  if (heads.d_head < 1 || heads.d_head > kMaxHead || heads.n_kv_heads < 1 ||
      heads.n_heads % heads.n_kv_heads != 0) {
    throw DeviceError("attention: no kernel takes " + std::to_string(heads.n_heads) +
                      " heads over " + std::to_string(heads.n_kv_heads) + " of " +
                      std::to_string(heads.d_head) + " elements");
  }
  if (rows.n_tiles > 0 && prefill_takes(heads)) {
    attention_prefill(device, heads, rows, layer, qkv, out);
  } else if (rows.n_tiles == 0 && decode_takes(heads)) {
    attention_decode(device, heads, rows, layer, qkv, nullptr, out, scratch);
  } else {
    attention_plain(device, heads, rows, layer, qkv, out);
  }
}

void rope_attention(MoevalDevice& device, const MoevalHeads& heads, const MoevalRows& rows,
                    int32_t layer, void* qkv, const Rope& rope, void* out, void* scratch) {
  if (rows.n_tiles == 0 && decode_takes(heads)) {
    check_rope(heads, rope);
    return attention_decode(device, heads, rows, layer, qkv, &rope, out, scratch);
  }
  rope_and_store(device, heads, rows, layer, qkv, rope);
  attention(device, heads, rows, layer, qkv, out, scratch);
}

float score_scale_log2(int64_t d_head) {
  return static_cast<float>(1.4426950408889634 / std::sqrt(static_cast<double>(d_head)));
}

}  // namespace moeval_cuda
