// Owns what is read from logits on the device, so that a step does not move whole rows of them.
#include <math_constants.h>

#include "kernels/cuda/chain.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/last_cta.cuh"

namespace moeval_cuda {
namespace {

constexpr int kThreads = 1024, kLanes = 32;
constexpr unsigned kAll = 0xffffffffu;
constexpr int64_t kSplitVocab = 8192;  // from here on few rows are split over thread blocks

struct Best {
  float value;
  int32_t id;
};

__device__ Best better(Best a, Best b) {
  if (b.id < 0) return a;
  if (a.id < 0 || b.value > a.value || (b.value == a.value && b.id < a.id)) return b;
  return a;
}

// Calls f(i, value) for the values of a row that fall to this thread, several loads at once.
template <class F>
__device__ void for_each_logit(const float* row, int vocab, F&& f) {
  constexpr int kTogether = 4;
  const int vectors = reinterpret_cast<uintptr_t>(row) % 16 == 0 ? vocab / 4 : 0;
  for (int first = threadIdx.x; first < vectors; first += kTogether * kThreads) {
    float4 v[kTogether];
#pragma unroll
    for (int u = 0; u < kTogether; ++u) {
      const int at = first + u * kThreads;
      if (at < vectors) v[u] = reinterpret_cast<const float4*>(row)[at];
    }
#pragma unroll
    for (int u = 0; u < kTogether; ++u) {
      const int i = 4 * (first + u * kThreads);
      if (first + u * kThreads >= vectors) continue;
      f(i, v[u].x), f(i + 1, v[u].y), f(i + 2, v[u].z), f(i + 3, v[u].w);
    }
  }
  for (int i = 4 * vectors + static_cast<int>(threadIdx.x); i < vocab; i += kThreads) f(i, row[i]);
}

// What is known of a stretch of a row: `sum` is of exponentials of the distance to the largest.
using Part = MoevalDevice::HeadPart;

// By all threads of the CTA, to its first. The sum is kept in double.
__device__ Part part_of(const float* row, int n) {
  __shared__ Best bests[kThreads / kLanes];
  __shared__ double sums[kThreads / kLanes];
  __shared__ int broken;
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  if (threadIdx.x == 0) broken = 0;
  __syncthreads();
  Best best{-CUDART_INF_F, -1};
  bool finite = true;
  for_each_logit(row, n, [&](int i, float v) {
    finite = finite && isfinite(v);
    if (best.id < 0 || v > best.value) best = {v, i};
  });
  if (!finite) broken = 1;
  for (int step = 16; step > 0; step /= 2) {
    const Best other{__shfl_xor_sync(kAll, best.value, step), __shfl_xor_sync(kAll, best.id, step)};
    best = better(best, other);
  }
  if (lane == 0) bests[warp] = best;
  __syncthreads();
  best = bests[0];
  for (int w = 1; w < kThreads / kLanes; ++w) best = better(best, bests[w]);
  double sum = 0;
  for_each_logit(row, n, [&](int, float v) { sum += static_cast<double>(expf(v - best.value)); });
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kAll, sum, step);
  if (lane == 0) sums[warp] = sum;
  __syncthreads();
  sum = 0;
  for (int w = 0; w < kThreads / kLanes; ++w) sum += sums[w];
  return {sum, best.value, best.id, broken ? 0 : 1};
}

// A CTA for each row.
__global__ void __launch_bounds__(kThreads)
    head_facts_kernel(const float* logits, int64_t vocab, MoevalHeadFacts* facts) {
  await_previous();
  const Part whole = part_of(logits + blockIdx.x * vocab, static_cast<int>(vocab));
  if (threadIdx.x > 0) return;
  facts[blockIdx.x] = {static_cast<double>(whole.largest) + log(whole.sum), whole.id, whole.finite};
}

// Few rows: CTA (row, p) takes a stretch of the row; the last one to finish puts them together, a
// warp for each row, a lane for each stretch.
__global__ void __launch_bounds__(kThreads)
    head_parts_kernel(const float* logits, int vocab, int stretch, Part* parts, uint32_t* arrived,
                      MoevalHeadFacts* facts) {
  await_previous();
  const int first = static_cast<int>(blockIdx.y) * stretch, n = min(stretch, vocab - first);
  Part part = part_of(logits + static_cast<int64_t>(blockIdx.x) * vocab + first, n);
  if (part.id >= 0) part.id += first;
  const int n_parts = static_cast<int>(gridDim.y);
  if (threadIdx.x == 0) parts[blockIdx.x * n_parts + blockIdx.y] = part;
  if (!comes_last(arrived)) return;
  const unsigned row = threadIdx.x / kLanes, lane = threadIdx.x % kLanes;
  if (row >= gridDim.x) return;
  part = {0, -CUDART_INF_F, -1, 1};
  if (lane < gridDim.y) {
    const Part* of = parts + row * gridDim.y + lane;  // of other CTAs: past this one's L1
    part = {__ldcg(&of->sum), __ldcg(&of->largest), __ldcg(&of->id), __ldcg(&of->finite)};
  }
  Best best{part.largest, part.id};
  for (int step = 16; step > 0; step /= 2) {
    const Best other{__shfl_xor_sync(kAll, best.value, step), __shfl_xor_sync(kAll, best.id, step)};
    best = better(best, other);
  }
  double sum = part.id < 0 ? 0 : part.sum * exp(static_cast<double>(part.largest) - best.value);
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kAll, sum, step);
  const bool finite = __all_sync(kAll, part.finite != 0);
  if (lane == 0) facts[row] = {static_cast<double>(best.value) + log(sum), best.id, finite ? 1 : 0};
}

__global__ void pick_kernel(const float* logits, int64_t vocab, const int32_t* rows,
                            const int32_t* tokens, int64_t n, float* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) out[i] = logits[rows[i] * vocab + tokens[i]];
}

}  // namespace

void head_facts(MoevalDevice& device, const float* logits, int64_t n, int64_t vocab,
                MoevalHeadFacts* facts) {
  if (n == 0) return;
  // Stretches of whole vectors; at least one for each of the parts but the last.
  const auto stretch = ceil_div(ceil_div(vocab, MoevalDevice::kHeadParts), 4) * 4;
  if (n <= MoevalDevice::kHeadRows && vocab >= kSplitVocab) {
    const dim3 grid(static_cast<unsigned>(n), static_cast<unsigned>(ceil_div(vocab, stretch)));
    launch_chained(device, head_parts_kernel, grid, kThreads, 0, "log-softmax of few rows", logits,
                   static_cast<int>(vocab), static_cast<int>(stretch), device.head_parts,
                   device.arrivals, facts);
    return;
  }
  launch_chained(device, head_facts_kernel, static_cast<unsigned>(n), kThreads, 0, "log-softmax",
                 logits, vocab, facts);
}

void pick(MoevalDevice& device, const float* logits, int64_t vocab, const int32_t* rows,
          const int32_t* tokens, int64_t n, float* out) {
  if (n == 0) return;
  pick_kernel<<<static_cast<unsigned>(ceil_div(n, 256)), 256, 0, device.stream>>>(
      logits, vocab, rows, tokens, n, out);
  check_launch("pick of logits");
}

}  // namespace moeval_cuda
