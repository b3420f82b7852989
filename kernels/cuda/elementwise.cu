// Owns the ops on one row at a time: embedding, norms, activations, biases.
#include "kernels/cuda/chain.cuh"
#include "kernels/cuda/elementwise.cuh"

namespace moeval_cuda {
namespace {

constexpr int kThreads = 256, kLanes = 32;
constexpr unsigned kAll = 0xffffffffu;

// Of all threads of the CTA, to each of them.
__device__ float block_sum(float v) {
  __shared__ float part[kThreads / kLanes];
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(kAll, v, step);
  if (threadIdx.x % kLanes == 0) part[threadIdx.x / kLanes] = v;
  __syncthreads();
  float sum = 0;
  for (int w = 0; w < kThreads / kLanes; ++w) sum += part[w];
  __syncthreads();
  return sum;
}

template <class T>
__global__ void embed_kernel(const T* table, const int32_t* tokens, int64_t d, float* x) {
  await_previous();
  const T* from = table + static_cast<int64_t>(tokens[blockIdx.x]) * d;
#pragma unroll 8
  for (int64_t i = threadIdx.x; i < d; i += kThreads) x[blockIdx.x * d + i] = to_float(from[i]);
}

// A CTA for each row; values of a thread stay in registers up to kHeld * kThreads of them.
template <class T>
__global__ void __launch_bounds__(kThreads)
    rms_norm_kernel(const float* x, const int32_t* rows, int d, const float* weight, float eps,
                    T* y) {
  constexpr int kHeld = 8;
  await_previous();
  const int64_t row = rows ? rows[blockIdx.x] : static_cast<int64_t>(blockIdx.x);
  const float* from = x + row * d;
  T* to = y + static_cast<int64_t>(blockIdx.x) * d;
  float held[kHeld];
  float sum = 0;
#pragma unroll
  for (int j = 0; j < kHeld; ++j) {
    const int i = j * kThreads + static_cast<int>(threadIdx.x);
    held[j] = i < d ? from[i] : 0;
    sum = fmaf(held[j], held[j], sum);
  }
  for (int i = kHeld * kThreads + static_cast<int>(threadIdx.x); i < d; i += kThreads) {
    sum = fmaf(from[i], from[i], sum);
  }
  const float scale = 1.0f / sqrtf(block_sum(sum) / static_cast<float>(d) + eps);
#pragma unroll
  for (int j = 0; j < kHeld; ++j) {
    const int i = j * kThreads + static_cast<int>(threadIdx.x);
    if (i < d) to[i] = from_float<T>(held[j] * scale * weight[i]);
  }
  for (int i = kHeld * kThreads + static_cast<int>(threadIdx.x); i < d; i += kThreads) {
    to[i] = from_float<T>(from[i] * scale * weight[i]);
  }
}

template <class T>
__global__ void swiglu_kernel(const T* gate, const T* up, int64_t n, bool absolute, T* h) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  const float v = swiglu_value(to_float(gate[i]), to_float(up[i]));
  h[i] = from_float<T>(absolute ? fabsf(v) : v);
}

// A CTA for each row and expert.
template <class T>
__global__ void __launch_bounds__(kThreads)
    gate_scores_kernel(const T* gates, const float* scale, int width, float* scores) {
  const int64_t row = blockIdx.x, e = blockIdx.y, n = gridDim.y;
  const T* g = gates + (row * n + e) * width;
  float sum = 0;
  for (int i = threadIdx.x; i < width; i += kThreads) {
    sum += fabsf(swiglu_value(to_float(g[i]), scale[e * width + i]));
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) scores[row * n + e] = sum;
}

template <class Y>
__global__ void add_bias_kernel(const float* bias, int64_t n, Y* y) {
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    Y& v = y[blockIdx.x * n + i];
    v = from_float<Y>(to_float(v) + bias[i]);
  }
}

unsigned blocks(int64_t n) { return static_cast<unsigned>(n); }

}  // namespace

void embed(MoevalDevice& device, int32_t type, const void* table, const int32_t* tokens, int64_t m,
           int64_t d, float* x) {
  if (m == 0) return;
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    embed_kernel<T>
        <<<blocks(m), kThreads, 0, device.stream>>>(static_cast<const T*>(table), tokens, d, x);
  });
}

void rms_norm(MoevalDevice& device, int32_t type, const float* x, const int32_t* rows, int64_t m,
              int64_t d, const float* weight, float eps, void* y) {
  if (m == 0) return;
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    rms_norm_kernel<T><<<blocks(m), kThreads, 0, device.stream>>>(x, rows, static_cast<int>(d),
                                                                  weight, eps, static_cast<T*>(y));
  });
}

void swiglu(MoevalDevice& device, int32_t type, const void* gate, const void* up, int64_t m,
            int64_t n, bool absolute, void* h) {
  if (m * n == 0) return;
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    swiglu_kernel<T><<<blocks(ceil_div(m * n, kThreads)), kThreads, 0, device.stream>>>(
        static_cast<const T*>(gate), static_cast<const T*>(up), m * n, absolute,
        static_cast<T*>(h));
  });
  check_launch("swiglu");
}

void gate_scores(MoevalDevice& device, int32_t type, const void* gates, const float* scale,
                 int64_t m, int64_t n_routed, int64_t width, float* scores) {
  if (m == 0) return;
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    const dim3 grid(blocks(m), blocks(n_routed));
    gate_scores_kernel<T><<<grid, kThreads, 0, device.stream>>>(static_cast<const T*>(gates), scale,
                                                                static_cast<int>(width), scores);
  });
  check_launch("scores by gates");
}

void add_bias(MoevalDevice& device, int32_t y_type, const float* bias, int64_t m, int64_t n,
              void* y) {
  if (m == 0) return;
  with_type(y_type, [&](auto zero) {
    using Y = decltype(zero);
    add_bias_kernel<Y><<<blocks(m), kThreads, 0, device.stream>>>(bias, n, static_cast<Y*>(y));
  });
  check_launch("bias");
}

}  // namespace moeval_cuda
