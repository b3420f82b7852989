// Owns the products over experts for any type and shape: fp32 tiles in shared memory, one fused
// multiply-add after the other in the order of k. Sizes are read on the device.
#include <algorithm>

#include "kernels/cuda/grouped_plain.cuh"

namespace moeval_cuda {
namespace {

constexpr int kTile = 64;   // rows and columns of a CTA
constexpr int kDepth = 16;  // of k at a time
constexpr int kEach = 4;    // rows and columns of a thread
constexpr int kSide = kTile / kEach;
constexpr int kThreads = kSide * kSide;
constexpr int kPitch = kTile + 4;

struct PlainArgs {
  const void *x, *w, *up;           // rows; weights [n * n_out, n_in], and up's where GATED
  const int32_t *counts, *offsets;  // of the call's first expert
  const int32_t* source;            // row of x at a place; null: the place itself
  void* out;                        // [places, n_out]
  int64_t n_out, n_in;
};

// By all threads, 4 values of one row each, from k0; row null: zeros.
template <class T>
__device__ void load_tile(float (&tile)[kDepth][kPitch], const T* row, int64_t k0, int64_t n_in) {
  const int r = threadIdx.x / 4, k = threadIdx.x % 4 * 4;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    tile[k + i][r] = row && k0 + k + i < n_in ? to_float(row[k0 + k + i]) : 0.0f;
  }
}

// x: n-tiles, y: experts, z: m-tiles, which z strides over.
template <class T, bool GATED>
__global__ void __launch_bounds__(kThreads) plain_kernel(const PlainArgs a) {
  constexpr int kMatrices = GATED ? 2 : 1;
  __shared__ float rows[kDepth][kPitch];
  __shared__ float weights[kMatrices][kDepth][kPitch];
  const int expert = blockIdx.y, count = a.counts[expert];
  const int64_t begin = a.offsets[expert], col0 = static_cast<int64_t>(blockIdx.x) * kTile;
  const int tx = threadIdx.x % kSide, ty = threadIdx.x / kSide, mine = threadIdx.x / 4;

  const T* weight[kMatrices] = {};
  if (col0 + mine < a.n_out) {
    const int64_t at = (expert * a.n_out + col0 + mine) * a.n_in;
    weight[0] = static_cast<const T*>(a.w) + at;
    if constexpr (GATED) weight[1] = static_cast<const T*>(a.up) + at;
  }
  for (int64_t row0 = static_cast<int64_t>(blockIdx.z) * kTile; row0 < count;
       row0 += static_cast<int64_t>(gridDim.z) * kTile) {
    const T* row = nullptr;
    if (row0 + mine < count) {
      const int64_t place = begin + row0 + mine;
      row = static_cast<const T*>(a.x) + (a.source ? a.source[place] : place) * a.n_in;
    }
    float sums[kMatrices][kEach][kEach] = {};
    for (int64_t k0 = 0; k0 < a.n_in; k0 += kDepth) {
      __syncthreads();
      load_tile(rows, row, k0, a.n_in);
#pragma unroll
      for (int w = 0; w < kMatrices; ++w) load_tile(weights[w], weight[w], k0, a.n_in);
      __syncthreads();
#pragma unroll
      for (int k = 0; k < kDepth; ++k) {
        float left[kEach], right[kEach];
#pragma unroll
        for (int i = 0; i < kEach; ++i) left[i] = rows[k][ty * kEach + i];
#pragma unroll
        for (int w = 0; w < kMatrices; ++w) {
#pragma unroll
          for (int j = 0; j < kEach; ++j) right[j] = weights[w][k][tx * kEach + j];
#pragma unroll
          for (int i = 0; i < kEach; ++i) {
#pragma unroll
            for (int j = 0; j < kEach; ++j) {
              sums[w][i][j] = fmaf(left[i], right[j], sums[w][i][j]);
            }
          }
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int64_t r = row0 + ty * kEach + i;
      if (r >= count) break;
#pragma unroll
      for (int j = 0; j < kEach; ++j) {
        const int64_t col = col0 + tx * kEach + j;
        float v = sums[0][i][j];
        if constexpr (GATED) v = swiglu_value(v, sums[1][i][j]);
        if (col < a.n_out) static_cast<T*>(a.out)[(begin + r) * a.n_out + col] = from_float<T>(v);
      }
    }
  }
}

}  // namespace

void experts_plain(MoevalDevice& device, const MoevalExperts& e, const MoevalDispatch& dispatch) {
  if (e.places == 0 || e.n == 0) return;
  // Twice the mean: experts with more rows take turns.
  const int64_t deep = std::clamp<int64_t>(2 * ceil_div(e.places, e.n * kTile), 1, 64);
  const auto grid = [&](int64_t n_out) {
    return dim3(static_cast<unsigned>(ceil_div(n_out, kTile)), static_cast<unsigned>(e.n),
                static_cast<unsigned>(deep));
  };
  const int32_t *counts = dispatch.counts + e.first, *offsets = dispatch.offsets + e.first;
  with_type(e.type, [&](auto zero) {
    using T = decltype(zero);
    plain_kernel<T, true><<<grid(e.width), kThreads, 0, device.stream>>>(
        {e.x, e.gate, e.up, counts, offsets, dispatch.source, e.hidden, e.width, e.d});
    check_launch("plain gate and up");
    plain_kernel<T, false><<<grid(e.d), kThreads, 0, device.stream>>>(
        {e.hidden, e.down, nullptr, counts, offsets, nullptr, e.y, e.d, e.width});
    check_launch("plain down");
  });
}

}  // namespace moeval_cuda
