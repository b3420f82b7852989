// Owns the way from the residual stream to the places of rows by expert. Steps of few rows take one
// kernel: a CTA norms a row, scores the experts and chooses; the last one to finish orders the
// rows.
#include "kernels/cuda/chain.cuh"
#include "kernels/cuda/dense.cuh"
#include "kernels/cuda/dispatch_few.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/last_cta.cuh"
#include "kernels/cuda/routing.cuh"
#include "kernels/cuda/row_stream.cuh"
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

// Scores of experts warp * kTogether .., in steps of all warps. row [d] in shared memory.
template <class T>
__device__ void score_row(const RouteArgs& a, const uint4* row, float* scores) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int d = static_cast<int>(a.r.d), n = a.r.n_routed, vectors = d / kValues<T>;
  for (int first = warp * kTogether; first < n; first += kWarps * kTogether) {
    float sum[kTogether] = {};
#pragma unroll 2
    for (int i = lane; i < vectors; i += 32) {
      uint4 w[kTogether];
#pragma unroll
      for (int j = 0; j < kTogether; ++j) {
        const T* weights =
            static_cast<const T*>(a.router) + static_cast<int64_t>(min(first + j, n - 1)) * d;
        w[j] = __ldg(reinterpret_cast<const uint4*>(weights) + i);
      }
#pragma unroll
      for (int j = 0; j < kTogether; ++j) sum[j] = dot<T>(w[j], row[i], sum[j]);
    }
#pragma unroll
    for (int j = 0; j < kTogether; ++j) {
      sum[j] = lane_sum(sum[j]);
      if (lane == 0 && first + j < n) {
        scores[first + j] = sum[j] + (a.bias ? a.bias[first + j] : 0.0f);
      }
    }
  }
}

// The normed row in shared memory, behind what dispatch_few() works in.
__device__ uint4* row_behind(unsigned* dispatch_scratch, int n_experts) {
  return reinterpret_cast<uint4*>(dispatch_scratch + (3 * n_experts + 3) / 4 * 4);
}

template <class T, int HELD>
__global__ void __launch_bounds__(kThreads) route_kernel(const RouteArgs a) {
  extern __shared__ uint4 shared[];
  auto* dispatch_scratch = reinterpret_cast<unsigned*>(shared);
  __shared__ float scores[HELD * 32];
  const int d = static_cast<int>(a.r.d), t = static_cast<int>(threadIdx.x);
  const int lane = t % 32, warp = t / 32;
  const int64_t at = blockIdx.x;
  uint4* row = row_behind(dispatch_scratch, a.to.n_experts);
  // The router's weights are asked for while the kernel before still runs.
  const auto* router = static_cast<const char*>(a.router);
  const int64_t router_bytes = static_cast<int64_t>(a.r.n_routed) * d * sizeof(T);
  for (int64_t i = t * int64_t{128}; i < router_bytes; i += kThreads * int64_t{128}) {
    prefetch_to_l2(router + i);
  }
  float4 held[1];
  load_norm<kThreads>(held, a.norm_weight, d);
  await_previous();
  norm_row<T, kThreads>(a.x + at * d, a.norm_weight, held, d, a.eps, reinterpret_cast<T*>(row),
                        static_cast<T*>(a.normed) + at * d);
  score_row<T>(a, row, scores);
  __syncthreads();
  if (warp == 0) select_row<T, HELD>(a.r, choice_of(a.r, at), at, scores, lane);
  if (comes_last(a.arrived)) dispatch_few<kThreads>(a.r.ids, a.m, a.to, dispatch_scratch);
}

constexpr int kSplitRows = 8;       // steps of up to so many rows split the experts over CTAs
constexpr int kSplitThreads = 128;  // one warp for each of 4 experts
constexpr int kSplitStretch = 8;    // vectors of a lane that are asked for before the row is there

// A few rows: CTA (row, s) norms the row and scores four experts; the last one to finish chooses
// for all rows, a warp for each, and orders them.
template <class T, int HELD>
__global__ void __launch_bounds__(kSplitThreads) route_split_kernel(const RouteArgs a) {
  constexpr int kSplitWarps = kSplitThreads / 32;
  extern __shared__ uint4 shared[];
  auto* dispatch_scratch = reinterpret_cast<unsigned*>(shared);
  __shared__ int16_t ids[kDeviceMaxChosen];
  const int d = static_cast<int>(a.r.d), n = d / kValues<T>;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t at = blockIdx.x;
  uint4* row = row_behind(dispatch_scratch, a.to.n_experts);
  const int expert = static_cast<int>(blockIdx.y) * kSplitWarps + warp;
  const T* weights =
      static_cast<const T*>(a.router) + static_cast<int64_t>(min(expert, a.r.n_routed - 1)) * d;
  uint4 w[kSplitStretch];
  load_stretch(w, weights, 0, n, lane);
  float4 held[4];
  load_norm<kSplitThreads>(held, a.norm_weight, d);
  const Choice first_choice = choice_of(a.r, min(warp, a.m - 1));
  await_previous();
  norm_row<T, kSplitThreads>(a.x + at * d, a.norm_weight, held, d, a.eps, reinterpret_cast<T*>(row),
                             blockIdx.y == 0 ? static_cast<T*>(a.normed) + at * d : nullptr);
  float sum = dot_stretch<T>(w, row, 0, n, lane, 0.0f);
  for (int first = kSplitStretch * 32; first < n; first += kSplitStretch * 32) {
    load_stretch(w, weights, first, n, lane);
    sum = dot_stretch<T>(w, row, first, n, lane, sum);
  }
  sum = lane_sum(sum);
  if (lane == 0 && expert < a.r.n_routed) {
    a.scores[at * a.r.n_routed + expert] = sum + (a.bias ? a.bias[expert] : 0.0f);
  }
  if (!comes_last(a.arrived)) return;
  if (a.m == 1) {  // the choice stays on the chip until its order is known
    MoevalRouting one = a.r;
    one.ids = ids;
    if (warp == 0) select_row<T, HELD>(one, first_choice, 0, a.scores, lane);
    __syncthreads();
    dispatch_one<kSplitThreads>(ids, a.r.ids, a.to);
    return;
  }
  for (int r = warp; r < a.m; r += kSplitWarps) {
    select_row<T, HELD>(a.r, r == warp ? first_choice : choice_of(a.r, r), r,
                        a.scores + static_cast<int64_t>(r) * a.r.n_routed, lane);
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
  const size_t shared = static_cast<size_t>((3 * route.dispatch.n_experts + 3) / 4) * 16 +
                        static_cast<size_t>(r.d * type_bytes(r.type));
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
