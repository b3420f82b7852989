// Owns the way from the residual stream to the places of rows by expert. Steps of few rows take one
// kernel: a CTA norms a row, scores the experts and chooses; the last one to finish orders the
// rows.
#include "kernels/cuda/chain.cuh"
#include "kernels/cuda/dense.cuh"
#include "kernels/cuda/dispatch_few.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/routing.cuh"
#include "kernels/cuda/select_row.cuh"

namespace moeval_cuda {
namespace {

constexpr int kThreads = 512, kWarps = kThreads / 32;
constexpr int kTogether = 4;          // experts that a warp scores at once
constexpr int64_t kMostWidth = 8192;  // d of a row in shared memory

struct RouteArgs {
  MoevalRouting r;
  MoevalDispatch to;
  const float *x, *norm_weight, *bias;
  const void* router;
  void* normed;
  float* scores;
  uint32_t* arrived;
  float eps;
  int m;
};

// The normed row at `at`, rounded to T: to shared memory, and to `normed` where writes. All THREADS
// of a CTA.
template <class T, int THREADS>
__device__ void norm_row(const RouteArgs& a, int64_t at, bool writes, float* row) {
  __shared__ float part[THREADS / 32];
  const int d = static_cast<int>(a.r.d), t = static_cast<int>(threadIdx.x);
  float squares = 0;
#pragma unroll 4
  for (int i = t; i < d; i += THREADS) {
    const float v = a.x[at * d + i];
    row[i] = v;
    squares = fmaf(v, v, squares);
  }
  for (int step = 16; step > 0; step /= 2) squares += __shfl_xor_sync(kAllLanes, squares, step);
  if (t % 32 == 0) part[t / 32] = squares;
  __syncthreads();
  squares = 0;
  for (int w = 0; w < THREADS / 32; ++w) squares += part[w];
  const float scale = 1.0f / sqrtf(squares / static_cast<float>(d) + a.eps);
#pragma unroll 4
  for (int i = t; i < d; i += THREADS) {
    const T v = from_float<T>(row[i] * scale * a.norm_weight[i]);
    if (writes) static_cast<T*>(a.normed)[at * d + i] = v;
    row[i] = to_float(v);
  }
  __syncthreads();
}

// Is this CTA the last one of the grid to come here? It sees what the others wrote before.
__device__ bool comes_last(uint32_t* arrived) {
  __shared__ bool last;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicAdd(arrived, 1u) == gridDim.x * gridDim.y - 1;
    if (last) *arrived = 0;  // for the next layer
    __threadfence();
  }
  __syncthreads();
  return last;
}

// Scores of experts warp * kTogether .., in steps of all warps. row [d] in shared memory.
template <class T>
__device__ void score_row(const RouteArgs& a, const float* row, float* scores) {
  using V = uint4;
  constexpr int kWidth = sizeof(V) / sizeof(T);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int d = static_cast<int>(a.r.d), n = a.r.n_routed;
  for (int first = warp * kTogether; first < n; first += kWarps * kTogether) {
    float sum[kTogether] = {};
#pragma unroll 2
    for (int i = lane * kWidth; i < d; i += 32 * kWidth) {
      V w[kTogether];
#pragma unroll
      for (int j = 0; j < kTogether; ++j) {
        const int e = min(first + j, n - 1);
        w[j] = __ldg(reinterpret_cast<const V*>(static_cast<const T*>(a.router) +
                                                static_cast<int64_t>(e) * d + i));
      }
#pragma unroll
      for (int j = 0; j < kTogether; ++j) {
        const T* values = reinterpret_cast<const T*>(&w[j]);
#pragma unroll
        for (int v = 0; v < kWidth; ++v) sum[j] = fmaf(row[i + v], to_float(values[v]), sum[j]);
      }
    }
#pragma unroll
    for (int j = 0; j < kTogether; ++j) {
      for (int step = 16; step > 0; step /= 2) {
        sum[j] += __shfl_xor_sync(kAllLanes, sum[j], step);
      }
      if (lane == 0 && first + j < n) {
        scores[first + j] = sum[j] + (a.bias ? a.bias[first + j] : 0.0f);
      }
    }
  }
}

template <class T, int HELD>
__global__ void __launch_bounds__(kThreads) route_kernel(const RouteArgs a) {
  extern __shared__ unsigned dispatch_scratch[];  // then the row, padded to 16 bytes
  __shared__ float scores[HELD * 32];
  const int d = static_cast<int>(a.r.d), t = static_cast<int>(threadIdx.x);
  const int lane = t % 32, warp = t / 32;
  const int64_t at = blockIdx.x;
  float* row = reinterpret_cast<float*>(dispatch_scratch) + (3 * a.to.n_experts + 3) / 4 * 4;
  // The router's weights are asked for while the kernel before still runs.
  const auto* router = static_cast<const char*>(a.router);
  const int64_t router_bytes = static_cast<int64_t>(a.r.n_routed) * d * sizeof(T);
  for (int64_t i = t * int64_t{128}; i < router_bytes; i += kThreads * int64_t{128}) {
    prefetch_to_l2(router + i);
  }
  await_previous();
  norm_row<T, kThreads>(a, at, true, row);
  score_row<T>(a, row, scores);
  __syncthreads();
  if (warp == 0) select_row<T, HELD>(a.r, at, scores, lane);
  if (comes_last(a.arrived)) dispatch_few<kThreads>(a.r.ids, a.m, a.to, dispatch_scratch);
}

constexpr int kSplitRows = 8;       // steps of up to so many rows split the experts over CTAs
constexpr int kSplitThreads = 128;  // one warp for each of 4 experts

// A few rows: CTA (row, s) norms the row and scores four experts; the last one to finish chooses
// for all rows, a warp for each, and orders them.
template <class T, int HELD>
__global__ void __launch_bounds__(kSplitThreads) route_split_kernel(const RouteArgs a) {
  constexpr int kSplitWarps = kSplitThreads / 32;
  using V = uint4;
  constexpr int kWidth = sizeof(V) / sizeof(T);
  extern __shared__ unsigned dispatch_scratch[];
  const int d = static_cast<int>(a.r.d), t = static_cast<int>(threadIdx.x);
  const int lane = t % 32, warp = t / 32;
  const int64_t at = blockIdx.x;
  float* row = reinterpret_cast<float*>(dispatch_scratch) + (3 * a.to.n_experts + 3) / 4 * 4;
  const int expert = static_cast<int>(blockIdx.y) * kSplitWarps + warp;
  const T* weights =
      static_cast<const T*>(a.router) + static_cast<int64_t>(min(expert, a.r.n_routed - 1)) * d;
  for (int i = lane * 128 / static_cast<int>(sizeof(T)); i < d;
       i += 32 * 128 / static_cast<int>(sizeof(T))) {
    prefetch_to_l2(weights + i);
  }
  await_previous();
  norm_row<T, kSplitThreads>(a, at, blockIdx.y == 0, row);
  float sum = 0;
#pragma unroll 8
  for (int i = lane * kWidth; i < d; i += 32 * kWidth) {
    const V w = __ldg(reinterpret_cast<const V*>(weights + i));
    const T* values = reinterpret_cast<const T*>(&w);
#pragma unroll
    for (int v = 0; v < kWidth; ++v) sum = fmaf(row[i + v], to_float(values[v]), sum);
  }
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kAllLanes, sum, step);
  if (lane == 0 && expert < a.r.n_routed) {
    a.scores[at * a.r.n_routed + expert] = sum + (a.bias ? a.bias[expert] : 0.0f);
  }
  if (!comes_last(a.arrived)) return;
  for (int r = warp; r < a.m; r += kSplitWarps) {
    select_row<T, HELD>(a.r, r, a.scores + static_cast<int64_t>(r) * a.r.n_routed, lane);
  }
  __syncthreads();
  dispatch_few<kSplitThreads>(a.r.ids, a.m, a.to, dispatch_scratch);
}

bool takes_few(const MoevalRoute& route, int64_t m) {
  const MoevalRouting& r = route.routing;
  const int64_t width = r.type == kDeviceF32 ? 4 : 8;
  return m <= kFewRows && r.n_routed > 0 && r.n_routed <= 128 && r.d % width == 0 &&
         r.d <= kMostWidth;
}

}  // namespace

void route(MoevalDevice& device, const MoevalRoute& route, int64_t m) {
  if (m == 0) return;
  const MoevalRouting& r = route.routing;
  if (!takes_few(route, m)) {
    rms_norm(device, r.type, route.x, nullptr, m, r.d, route.norm_weight, route.eps, route.normed);
    matmul(device, r.type, route.normed, m, route.router, r.n_routed, r.d, route.bias, kDeviceF32,
           false, route.scores);
    select(device, r, m);
    dispatch(device, r.ids, m, route.dispatch);
    return;
  }
  const RouteArgs a{r,
                    route.dispatch,
                    route.x,
                    route.norm_weight,
                    route.bias,
                    route.router,
                    route.normed,
                    route.scores,
                    device.arrivals,
                    route.eps,
                    static_cast<int>(m)};
  const size_t shared =
      static_cast<size_t>((3 * route.dispatch.n_experts + 3) / 4 * 4 + r.d) * sizeof(float);
  with_type(r.type, [&](auto zero) {
    with_held(r.n_routed, [&](auto held) {
      if constexpr (held.value <= 4) {
        using T = decltype(zero);
        if (m <= kSplitRows) {
          const dim3 grid(static_cast<unsigned>(m),
                          static_cast<unsigned>(ceil_div(r.n_routed, kSplitThreads / 32)));
          launch_chained(device, route_split_kernel<T, held.value>, grid, kSplitThreads, shared,
                         "routing", a);
        } else {
          launch_chained(device, route_kernel<T, held.value>, static_cast<unsigned>(m), kThreads,
                         shared, "routing", a);
        }
      }
    });
  });
}

}  // namespace moeval_cuda
