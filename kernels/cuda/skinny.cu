// Owns the products of decode: a warp holds 16 weight rows as the A operand of mma.m16n8k16, tokens
// are its 8 columns. The order of k inside a dot product is free as long as both operands share it:
// a thread takes 8 neighbouring values of a row (one 16-byte load) as its share of two k16 steps,
// so weights go from memory to the tensor cores without shared memory.
#include <algorithm>
#include <type_traits>

#include "kernels/cuda/chain.cuh"
#include "kernels/cuda/row_stream.cuh"
#include "kernels/cuda/skinny.cuh"

namespace moeval_cuda {
namespace {

constexpr int kRows = 16;  // weight rows of a CTA
constexpr int kStep = 32;  // values of k that a warp takes at once
constexpr int kLanes = 32;

struct SkinnyArgs {
  const void *x, *w0, *w1;  // w1: up, of the fused first product
  const float* bias;
  void* y;
  int64_t n_out, n_in;
  int32_t m;  // rows, where there is one group
  // Groups of experts; counts null: one group of m rows.
  const int32_t *counts, *offsets, *active, *source;
  int32_t first, n;
};

enum class Out { stored, f32, add_f32 };

template <class T>
__device__ void mma(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                    uint32_t b1);
template <>
__device__ inline void mma<bf16>(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                 uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
template <>
__device__ inline void mma<__half>(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                   uint32_t a3, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// The blockIdx.y-th expert with rows among first..first+n-1; -1: there are fewer.
__device__ int expert_of(const SkinnyArgs& a, int y) {
  int skipped = 0;
  while (skipped < a.first && a.active[skipped] >= 0 && a.active[skipped] < a.first) ++skipped;
  if (skipped + y >= a.first + a.n) return -1;
  const int e = a.active[skipped + y];
  return e < a.first + a.n ? e : -1;
}

// Where a warp reads: 16 rows of each matrix, from step `begin` to `end` of k.
template <class T, int MATRICES>
struct Share {
  const T* rows[MATRICES][2];  // at this lane's first value of rows g and g + 8
  bool low, high;              // those rows exist
  int begin, end, n_in;
};

// acc[i][j] += 16 rows of matrix i times the j-th 8 tokens. A column whose token does not exist
// holds another's values and is never read. All loads of a round are under way before the first is
// needed: what limits this kernel is how many there are.
template <class T, int MATRICES, int LIVE>
__device__ void accumulate(const Share<T, MATRICES>& s, const T* const (&tokens)[LIVE], int t,
                           float (&acc)[MATRICES][LIVE][4]) {
  constexpr int kUnroll = MATRICES * LIVE <= 2 ? 8 / MATRICES : MATRICES * LIVE <= 8 ? 2 : 1;
  for (int step = s.begin; step < s.end; step += kUnroll) {
    uint4 w[kUnroll][MATRICES][2], x[kUnroll][LIVE];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int k = (step + u) * kStep;
      const bool inside = step + u < s.end && k + t * 8 < s.n_in;
#pragma unroll
      for (int i = 0; i < MATRICES; ++i) {
        w[u][i][0] = inside && s.low ? load_weights(s.rows[i][0] + k) : make_uint4(0, 0, 0, 0);
        w[u][i][1] = inside && s.high ? load_weights(s.rows[i][1] + k) : make_uint4(0, 0, 0, 0);
      }
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      // Beyond the end, any values of the row: their weights are 0.
      const int k = min((step + u) * kStep + t * 8, s.n_in - 8);
#pragma unroll
      for (int j = 0; j < LIVE; ++j) {
        // No __ldg: the kernel before may still write them while this one comes up.
        x[u][j] = *reinterpret_cast<const uint4*>(tokens[j] + k);
      }
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
#pragma unroll
      for (int j = 0; j < LIVE; ++j) {
        const uint4 b = x[u][j];
#pragma unroll
        for (int i = 0; i < MATRICES; ++i) {
          const uint4 &p = w[u][i][0], &q = w[u][i][1];
          mma<T>(acc[i][j], p.x, q.x, p.y, q.y, b.x, b.y);
          mma<T>(acc[i][j], p.z, q.z, p.w, q.w, b.z, b.w);
        }
      }
    }
  }
}

// WARPS share 16 rows of each of MATRICES weights and split k; TILES: most 8-token columns at a
// time.
template <class T, int MATRICES, int TILES, int WARPS, Out OUT>
__global__ void __launch_bounds__(WARPS* kLanes, WARPS == 4 ? 4 : 2)
    skinny_kernel(const SkinnyArgs a) {
  __shared__ float partial[WARPS][MATRICES][TILES][4][kLanes];
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  const int g = lane / 4, t = lane % 4;

  int expert = 0, count = a.m;
  int64_t place = 0;
  if (a.counts) await_previous();  // which weights are read depends on it
  const T* weights[2] = {static_cast<const T*>(a.w0), static_cast<const T*>(a.w1)};
  if (a.counts) {
    expert = expert_of(a, static_cast<int>(blockIdx.y));
    if (expert < 0) return;
    count = a.counts[expert];
    place = a.offsets[expert];
    const int64_t stack = (expert - a.first) * a.n_out * a.n_in;
    weights[0] += stack;
    if (MATRICES == 2) weights[1] += stack;
  }
  const int64_t n0 = static_cast<int64_t>(blockIdx.x) * kRows;
  Share<T, MATRICES> share;
  share.low = n0 + g < a.n_out, share.high = n0 + g + 8 < a.n_out;
#pragma unroll
  for (int i = 0; i < MATRICES; ++i) {
    share.rows[i][0] = weights[i] + (n0 + g) * a.n_in + t * 8;
    share.rows[i][1] = weights[i] + (n0 + g + 8) * a.n_in + t * 8;
  }
  share.n_in = static_cast<int>(a.n_in);
  const int steps = (share.n_in + kStep - 1) / kStep, per_warp = (steps + WARPS - 1) / WARPS;
  share.begin = warp * per_warp, share.end = min(steps, share.begin + per_warp);
  const T* x = static_cast<const T*>(a.x);
  if (!a.counts) {
    // A cache line of 128 bytes holds two steps of a row.
    for (int s = share.begin + t * 2; s < share.end; s += 8) {
      if (share.low) prefetch_to_l2(share.rows[0][0] - t * 8 + s * kStep);
      if (share.high) prefetch_to_l2(share.rows[0][1] - t * 8 + s * kStep);
    }
    await_previous();
  }

  for (int first = 0; first < count; first += 8 * TILES) {
    const int live = min(TILES, (count - first + 7) / 8);
    const auto columns = [&](auto tiles) {
      constexpr int kLive = tiles.value;
      const T* tokens[kLive];
#pragma unroll
      for (int j = 0; j < kLive; ++j) {
        const int token = min(first + j * 8 + g, count - 1);
        const int64_t row = a.source ? a.source[place + token] : place + token;
        tokens[j] = x + row * a.n_in;
      }
      float acc[MATRICES][kLive][4] = {};
      accumulate<T, MATRICES, kLive>(share, tokens, t, acc);
#pragma unroll
      for (int i = 0; i < MATRICES; ++i) {
#pragma unroll
        for (int j = 0; j < kLive; ++j) {
#pragma unroll
          for (int c = 0; c < 4; ++c) partial[warp][i][j][c][lane] = acc[i][j][c];
        }
      }
    };
    if (live == 1) {
      columns(std::integral_constant<int, 1>{});
    } else if (live == 2) {
      columns(std::integral_constant < int, TILES<2 ? TILES : 2>{});
    } else if (live <= 4) {
      columns(std::integral_constant < int, TILES<4 ? TILES : 4>{});
    } else {
      columns(std::integral_constant<int, TILES>{});
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < live * 8 * kRows; i += WARPS * kLanes) {
      // Accumulator c of lane (g, t): weight row g + 8 * (c / 2), token 2 t + c % 2.
      const int token = i / kRows, row = i % kRows, tile = token / 8;
      const int c = row / 8 * 2 + token % 2, from = row % 8 * 4 + token % 8 / 2;
      if (first + token >= count || n0 + row >= a.n_out) continue;
      float sum[MATRICES] = {};
#pragma unroll
      for (int matrix = 0; matrix < MATRICES; ++matrix) {
#pragma unroll
        for (int part = 0; part < WARPS; ++part)
          sum[matrix] += partial[part][matrix][tile][c][from];
      }
      float value = MATRICES == 2 ? swiglu_value(sum[0], sum[MATRICES - 1]) : sum[0];
      if (a.bias) value += a.bias[n0 + row];
      const int64_t at = (place + first + token) * a.n_out + n0 + row;
      if (OUT == Out::stored) static_cast<T*>(a.y)[at] = from_float<T>(value);
      if (OUT == Out::f32) static_cast<float*>(a.y)[at] = value;
      if (OUT == Out::add_f32) static_cast<float*>(a.y)[at] += value;
    }
    __syncthreads();
  }
}

template <class T, int MATRICES, Out OUT>
void launch(MoevalDevice& device, const SkinnyArgs& a, int64_t groups, int64_t most_rows) {
  const dim3 grid(static_cast<unsigned>(ceil_div(a.n_out, kRows)), static_cast<unsigned>(groups));
  const auto run = [&](auto tiles, auto warps) {
    launch_chained(device, skinny_kernel<T, MATRICES, tiles.value, warps.value, OUT>, grid,
                   warps.value * kLanes, 0, "skinny product", a);
  };
  // Few CTAs: more warps for each, so that enough loads are in flight.
  const bool few = static_cast<int64_t>(grid.x) * grid.y < 3 * device.sms();
  using W4 = std::integral_constant<int, 4>;
  using W8 = std::integral_constant<int, 8>;
  if (most_rows <= 8) {
    const std::integral_constant<int, 1> tiles;
    few ? run(tiles, W8{}) : run(tiles, W4{});
  } else if (most_rows <= 16) {
    const std::integral_constant<int, 2> tiles;
    few ? run(tiles, W8{}) : run(tiles, W4{});
  } else {
    run(std::integral_constant<int, 8>{}, W4{});
  }
}

template <class F>
void with_16_bit(int32_t type, F&& f) {
  if (type == kDeviceF16) return f(__half{});
  if (type == kDeviceBf16) return f(bf16{});
  throw DeviceError("the skinny products take f16 and bf16");
}

}  // namespace

bool skinny_takes(int32_t type, int64_t n_in) { return type != kDeviceF32 && n_in % 8 == 0; }

void matmul_skinny(MoevalDevice& device, int32_t type, const void* x, int64_t m, const void* w,
                   int64_t n_out, int64_t n_in, const float* bias, int32_t y_type, bool accumulate,
                   void* y) {
  SkinnyArgs a{};
  a.x = x, a.w0 = w, a.bias = bias, a.y = y, a.n_out = n_out, a.n_in = n_in;
  a.m = static_cast<int32_t>(m);
  with_16_bit(type, [&](auto zero) {
    using T = decltype(zero);
    if (y_type != kDeviceF32) return launch<T, 1, Out::stored>(device, a, 1, m);
    if (accumulate) return launch<T, 1, Out::add_f32>(device, a, 1, m);
    launch<T, 1, Out::f32>(device, a, 1, m);
  });
}

void experts_skinny(MoevalDevice& device, const MoevalExperts& e, const MoevalDispatch& d) {
  SkinnyArgs a{};
  a.counts = d.counts, a.offsets = d.offsets, a.active = d.active;
  a.first = e.first, a.n = e.n;
  const int64_t groups = std::min<int64_t>(e.n, e.places);
  with_16_bit(e.type, [&](auto zero) {
    using T = decltype(zero);
    a.x = e.x, a.w0 = e.gate, a.w1 = e.up, a.y = e.hidden, a.source = d.source;
    a.n_out = e.width, a.n_in = e.d;
    launch<T, 2, Out::stored>(device, a, groups, e.m);
    a.x = e.hidden, a.w0 = e.down, a.w1 = nullptr, a.y = e.y, a.source = nullptr;
    a.n_out = e.d, a.n_in = e.width;
    launch<T, 1, Out::stored>(device, a, groups, e.m);
  });
}

}  // namespace moeval_cuda
