// Owns the order of rows by expert and the weighted sum back. The order is by expert, then by row:
// it depends on nothing but the ids, so equal steps give equal places.
#include <algorithm>

#include "kernels/cuda/chain.cuh"
#include "kernels/cuda/dispatch_few.cuh"
#include "kernels/cuda/routing.cuh"

namespace moeval_cuda {
namespace {

constexpr int kThreads = 256, kLanes = 32;
constexpr int kFewThreads = 256, kCombineThreads = 512;

// Place among 16 ids of `expert`; -1: not there.
__device__ int find_expert(const int16_t* ids, int expert) {
  union {
    uint4 v[2];
    int16_t id[kDeviceMaxChosen];
  } row;
  row.v[0] = reinterpret_cast<const uint4*>(ids)[0];
  row.v[1] = reinterpret_cast<const uint4*>(ids)[1];
  int at = -1;
#pragma unroll
  for (int j = 0; j < kDeviceMaxChosen; ++j) at = row.id[j] == expert ? j : at;
  return at;
}

// One CTA for each expert.
__global__ void __launch_bounds__(kThreads)
    count_kernel(const int16_t* ids, int m, int32_t* counts) {
  int found = 0;
  for (int r = threadIdx.x; r < m; r += kThreads) {
    found += find_expert(ids + static_cast<int64_t>(r) * kDeviceMaxChosen,
                         static_cast<int>(blockIdx.x)) >= 0;
  }
  __shared__ int total;
  if (threadIdx.x == 0) total = 0;
  __syncthreads();
  atomicAdd(&total, found);
  __syncthreads();
  if (threadIdx.x == 0) counts[blockIdx.x] = total;
}

// One CTA for each expert: its offset is the sum of the counts below it.
__global__ void __launch_bounds__(kThreads)
    place_kernel(const int16_t* ids, int m, const MoevalDispatch d) {
  __shared__ int base, below, warp_total[kThreads / kLanes];
  const int expert = static_cast<int>(blockIdx.x);
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  if (threadIdx.x == 0) base = 0, below = 0;
  __syncthreads();
  int rows = 0, experts = 0;
  for (int e = threadIdx.x; e < expert; e += kThreads) {
    rows += d.counts[e];
    experts += d.counts[e] > 0;
  }
  atomicAdd(&base, rows);
  atomicAdd(&below, experts);
  __syncthreads();
  const int count = d.counts[expert];
  if (threadIdx.x == 0) {
    d.offsets[expert] = base;
    if (count > 0) d.active[below] = expert;
    if (expert == d.n_experts - 1) {
      d.offsets[d.n_experts] = base + count;
      for (int e = below + (count > 0 ? 1 : 0); e < d.n_experts; ++e) d.active[e] = -1;
    }
  }
  if (count == 0) return;
  int begin = base;
  for (int first = 0; first < m; first += kThreads) {
    const int r = first + static_cast<int>(threadIdx.x);
    const int j =
        r < m ? find_expert(ids + static_cast<int64_t>(r) * kDeviceMaxChosen, expert) : -1;
    const unsigned votes = __ballot_sync(0xffffffffu, j >= 0);
    if (lane == 0) warp_total[warp] = __popc(votes);
    __syncthreads();
    int before = 0, all = 0;
    for (int w = 0; w < kThreads / kLanes; ++w) {
      before += w < warp ? warp_total[w] : 0;
      all += warp_total[w];
    }
    if (j >= 0) {
      const int place = begin + before + __popc(votes & ((1u << lane) - 1));
      d.source[place] = r;
      d.slot[static_cast<int64_t>(r) * kDeviceMaxChosen + j] = place;
    }
    begin += all;
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kFewThreads)
    dispatch_few_kernel(const int16_t* ids, int m, const MoevalDispatch d) {
  extern __shared__ unsigned few_scratch[];
  await_previous();
  dispatch_few<kFewThreads>(ids, m, d, few_scratch);
}

__global__ void clear_slots_kernel(const int16_t* ids, int64_t n, int32_t* slot) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n && ids[i] < 0) slot[i] = -1;
}

// Of all threads of the CTA, to each of them.
__device__ float block_sum(float v) {
  __shared__ float part[kCombineThreads / kLanes];
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(0xffffffffu, v, step);
  if (threadIdx.x % kLanes == 0) part[threadIdx.x / kLanes] = v;
  __syncthreads();
  float sum = 0;
  for (int w = 0; w < kCombineThreads / kLanes; ++w) sum += part[w];
  return sum;
}

struct CombineArgs {
  const int32_t* slot;
  const int16_t* ids;
  const float *weights, *means, *norm_weight;
  float eps;
  int n_experts, d;
  float* x;
};

template <class T, int WIDTH>
struct alignas(sizeof(T) * WIDTH) Values {
  T at[WIDTH];
};

// One CTA for each row; the next block's norm comes with it, for the row is at hand. WIDTH divides
// d. All rows of y that a thread needs are asked for at once.
template <class T, int WIDTH>
__global__ void __launch_bounds__(kCombineThreads)
    combine_kernel(const T* y, const CombineArgs a, T* normed) {
  await_previous();
  const int64_t row = blockIdx.x, at = row * kDeviceMaxChosen;
  const int d = a.d;
  __shared__ int32_t places[kDeviceMaxChosen];
  __shared__ float w[kDeviceMaxChosen];
  __shared__ int16_t chosen[kDeviceMaxChosen];
  if (threadIdx.x < kDeviceMaxChosen) {
    const int16_t id = a.ids[at + threadIdx.x];
    chosen[threadIdx.x] = id;
    places[threadIdx.x] = id < 0 ? -1 : a.slot[at + threadIdx.x];
    w[threadIdx.x] = a.weights[at + threadIdx.x];
  }
  __syncthreads();
  if (places[0] < 0) return;  // a padding row
  float* x = a.x + row * d;
  float squares = 0;
  for (int i = threadIdx.x * WIDTH; i < d; i += kCombineThreads * WIDTH) {
    Values<T, WIDTH> terms[kDeviceMaxChosen];
#pragma unroll
    for (int j = 0; j < kDeviceMaxChosen; ++j) {
      if (places[j] >= 0) {
        terms[j] =
            *reinterpret_cast<const Values<T, WIDTH>*>(y + static_cast<int64_t>(places[j]) * d + i);
      }
    }
    float sum[WIDTH] = {};
#pragma unroll
    for (int j = 0; j < kDeviceMaxChosen; ++j) {
      if (places[j] < 0) continue;
#pragma unroll
      for (int v = 0; v < WIDTH; ++v) sum[v] = fmaf(w[j], to_float(terms[j].at[v]), sum[v]);
    }
    if (a.means) {
      float missing[WIDTH] = {};
      for (int e = 0, j = 0; e < a.n_experts; ++e) {
        if (j < kDeviceMaxChosen && chosen[j] == e) {
          ++j;
          continue;
        }
#pragma unroll
        for (int v = 0; v < WIDTH; ++v) {
          missing[v] += a.means[static_cast<int64_t>(e) * d + i + v];
        }
      }
#pragma unroll
      for (int v = 0; v < WIDTH; ++v) sum[v] += missing[v];
    }
#pragma unroll
    for (int v = 0; v < WIDTH; ++v) {
      sum[v] += x[i + v];
      x[i + v] = sum[v];
      squares = fmaf(sum[v], sum[v], squares);
    }
  }
  if (!a.norm_weight) return;
  const float scale = 1.0f / sqrtf(block_sum(squares) / static_cast<float>(d) + a.eps);
  for (int i = threadIdx.x * WIDTH; i < d; i += kCombineThreads * WIDTH) {
    Values<T, WIDTH> out;
#pragma unroll
    for (int v = 0; v < WIDTH; ++v) {
      out.at[v] = from_float<T>(x[i + v] * scale * a.norm_weight[i + v]);
    }
    *reinterpret_cast<Values<T, WIDTH>*>(normed + row * d + i) = out;
  }
}

}  // namespace

void dispatch(MoevalDevice& device, const int16_t* ids, int64_t m, const MoevalDispatch& d) {
  if (m == 0) return;
  if (m <= kFewRows) {
    const size_t shared = few_scratch_bytes(d.n_experts);
    launch_chained(device, dispatch_few_kernel, 1, kFewThreads, shared, "places of few rows", ids,
                   static_cast<int>(m), d);
    return;
  }
  const int64_t n = m * kDeviceMaxChosen;
  clear_slots_kernel<<<static_cast<unsigned>(ceil_div(n, kThreads)), kThreads, 0, device.stream>>>(
      ids, n, d.slot);
  check_launch("clearing of places");
  const auto experts = static_cast<unsigned>(d.n_experts);
  count_kernel<<<experts, kThreads, 0, device.stream>>>(ids, static_cast<int>(m), d.counts);
  check_launch("count of rows");
  place_kernel<<<experts, kThreads, 0, device.stream>>>(ids, static_cast<int>(m), d);
  check_launch("places of rows");
}

void combine(MoevalDevice& device, int32_t type, const void* y, const MoevalDispatch& d,
             const MoevalCombine& c, int64_t m, int64_t d_model) {
  if (m == 0) return;
  const CombineArgs a{d.slot,
                      c.ids,
                      c.weights,
                      c.means,
                      c.norm_weight,
                      c.eps,
                      d.n_experts,
                      static_cast<int>(d_model),
                      c.x};
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    const auto kernel = d_model % 4 == 0 ? combine_kernel<T, 4> : combine_kernel<T, 1>;
    launch_chained(device, kernel, static_cast<unsigned>(m), kCombineThreads, 0, "sum over experts",
                   static_cast<const T*>(y), a, static_cast<T*>(c.normed));
  });
}

}  // namespace moeval_cuda
