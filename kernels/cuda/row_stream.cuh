// Owns what kernels for a single row share: weights that go straight from memory into registers,
// the product of a stretch of them with the row, and the row's norm.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

// 16 bytes that are read once: they leave no trace in L1.
__device__ inline uint4 load_weights(const void* p) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}

template <class T>
constexpr int kValues = 16 / static_cast<int>(sizeof(T));  // of a 16-byte vector

// Vectors first + lane, first + 32 + lane, .. of a row of n; 0 beyond its end.
template <int COUNT>
__device__ void load_stretch(uint4 (&w)[COUNT], const void* row, int first, int n, int lane) {
#pragma unroll
  for (int j = 0; j < COUNT; ++j) {
    const int i = first + j * 32 + lane;
    w[j] = i < n ? load_weights(static_cast<const uint4*>(row) + i) : make_uint4(0, 0, 0, 0);
  }
}

__device__ inline float dot_word(uint32_t a, uint32_t b, float sum, float) {
  return fmaf(__uint_as_float(a), __uint_as_float(b), sum);
}
__device__ inline float dot_word(uint32_t a, uint32_t b, float sum, bf16) {
  sum = fmaf(__uint_as_float(a << 16), __uint_as_float(b << 16), sum);
  return fmaf(__uint_as_float(a & 0xffff0000u), __uint_as_float(b & 0xffff0000u), sum);
}
__device__ inline float dot_word(uint32_t a, uint32_t b, float sum, __half) {
  const float2 x = __half22float2(*reinterpret_cast<const __half2*>(&a));
  const float2 y = __half22float2(*reinterpret_cast<const __half2*>(&b));
  return fmaf(x.y, y.y, fmaf(x.x, y.x, sum));
}
template <class T>
__device__ float dot(const uint4& a, const uint4& b, float sum) {
  sum = dot_word(a.x, b.x, sum, T{});
  sum = dot_word(a.y, b.y, sum, T{});
  sum = dot_word(a.z, b.z, sum, T{});
  return dot_word(a.w, b.w, sum, T{});
}

// sum + this lane's part of the product of what load_stretch() read with x, in shared memory.
template <class T, int COUNT>
__device__ float dot_stretch(const uint4 (&w)[COUNT], const uint4* x, int first, int n, int lane,
                             float sum) {
#pragma unroll
  for (int j = 0; j < COUNT; ++j) {
    const int i = first + j * 32 + lane;
    if (i < n) sum = dot<T>(w[j], x[i], sum);
  }
  return sum;
}

__device__ inline float lane_sum(float v) {
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(0xffffffffu, v, step);
  return v;
}

// Of a norm's weights, those that a thread of norm_row() needs first: they can be asked for before
// the row is there.
template <int THREADS, int HELD>
__device__ void load_norm(float4 (&held)[HELD], const float* weight, int d) {
#pragma unroll
  for (int j = 0; j < HELD; ++j) {
    const int i = (j * THREADS + static_cast<int>(threadIdx.x)) * 4;
    held[j] = i < d ? __ldg(reinterpret_cast<const float4*>(weight + i)) : float4{};
  }
}

// row = rms_norm of x [d] times weight, rounded to T, in shared memory; also to `normed` unless it
// is null. d is a multiple of 4. All THREADS of a CTA; the row can be read when it returns.
template <class T, int THREADS, int HELD>
__device__ void norm_row(const float* x, const float* weight, const float4 (&held)[HELD], int d,
                         float eps, T* row, T* normed) {
  __shared__ float part[THREADS / 32];
  const int t = static_cast<int>(threadIdx.x);
  const auto load = [&](int i) { return *reinterpret_cast<const float4*>(x + i); };
  const auto squares_of = [](const float4& v, float sum) {
    return fmaf(v.x, v.x, fmaf(v.y, v.y, fmaf(v.z, v.z, fmaf(v.w, v.w, sum))));
  };
  float4 first[HELD];
#pragma unroll
  for (int j = 0; j < HELD; ++j) {
    const int i = (j * THREADS + t) * 4;
    first[j] = i < d ? load(i) : float4{};
  }
  float squares = 0;
#pragma unroll
  for (int j = 0; j < HELD; ++j) squares = squares_of(first[j], squares);
  for (int i = (HELD * THREADS + t) * 4; i < d; i += THREADS * 4) {
    squares = squares_of(load(i), squares);
  }
  squares = lane_sum(squares);
  if (t % 32 == 0) part[t / 32] = squares;
  __syncthreads();
  squares = 0;
#pragma unroll
  for (int w = 0; w < THREADS / 32; ++w) squares += part[w];
  const float scale = 1.0f / sqrtf(squares / static_cast<float>(d) + eps);
  struct alignas(4 * sizeof(T)) Four {
    T at[4];
  };
  const auto put = [&](int i, const float4& v, const float4& w) {
    const Four four{{from_float<T>(v.x * scale * w.x), from_float<T>(v.y * scale * w.y),
                     from_float<T>(v.z * scale * w.z), from_float<T>(v.w * scale * w.w)}};
    *reinterpret_cast<Four*>(row + i) = four;
    if (normed) *reinterpret_cast<Four*>(normed + i) = four;
  };
#pragma unroll
  for (int j = 0; j < HELD; ++j) {
    const int i = (j * THREADS + t) * 4;
    if (i < d) put(i, first[j], held[j]);
  }
  for (int i = (HELD * THREADS + t) * 4; i < d; i += THREADS * 4) {
    put(i, load(i), *reinterpret_cast<const float4*>(weight + i));
  }
  __syncthreads();
}

}  // namespace moeval_cuda
