// Owns the dense products of a step of one row.
#include <algorithm>

#include "kernels/cuda/chain.cuh"
#include "kernels/cuda/one_row.cuh"
#include "kernels/cuda/row_stream.cuh"

namespace moeval_cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int kStretch = 8;    // vectors of a lane under way: 2,048 values of a row and warp
constexpr int kCtasPerSm = 4;  // all that registers allow; 2 are 4 % slower at one stream
constexpr int64_t kMostIn = 16384;

struct ProductArgs {
  const void* x;  // T [n_in], or fp32 before its norm
  const int32_t* row_at;
  const float* norm_weight;
  float eps;
  const void* w;
  const float* bias;
  void* y;
  int n_out, n_in;
};

enum class Result { stored, f32, add_f32 };

template <class T, bool NORM, Result RESULT>
__global__ void __launch_bounds__(kThreads, 4) product_kernel(const ProductArgs a) {
  extern __shared__ uint4 row[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int n = a.n_in / kValues<T>;
  const auto weights = [&](int of) {
    return static_cast<const T*>(a.w) + static_cast<int64_t>(of) * a.n_in;
  };
  const int step = static_cast<int>(gridDim.x) * kWarps;
  int out = static_cast<int>(blockIdx.x) * kWarps + warp;
  uint4 w[kStretch];
  if (out < a.n_out) load_stretch(w, weights(out), 0, n, lane);
  float4 held[2];  // 2,048 values
  if (NORM) load_norm<kThreads>(held, a.norm_weight, a.n_in);
  await_previous();
  float* sums = static_cast<float*>(a.y);
  float before = 0;
  if (RESULT == Result::add_f32 && out < a.n_out) before = sums[out];
  if (NORM) {
    const int64_t at = a.row_at ? *a.row_at : 0;
    norm_row<T, kThreads>(static_cast<const float*>(a.x) + at * a.n_in, a.norm_weight, held, a.n_in,
                          a.eps, reinterpret_cast<T*>(row), nullptr);
  } else {
    for (int i = threadIdx.x; i < n; i += kThreads) row[i] = static_cast<const uint4*>(a.x)[i];
    __syncthreads();
  }
  int first = 0;
  float sum = 0;
  while (out < a.n_out) {
    sum = dot_stretch<T>(w, row, first, n, lane, sum);
    const int done = out;
    first += kStretch * 32;
    const bool ends = first >= n;
    if (ends) first = 0, out += step;
    if (out < a.n_out) load_stretch(w, weights(out), first, n, lane);
    if (!ends) continue;
    sum = lane_sum(sum) + (a.bias ? a.bias[done] : 0.0f);
    if (lane == 0) {
      if (RESULT == Result::stored) static_cast<T*>(a.y)[done] = from_float<T>(sum);
      if (RESULT == Result::f32) sums[done] = sum;
      if (RESULT == Result::add_f32) sums[done] = before + sum;
    }
    if (RESULT == Result::add_f32 && out < a.n_out) before = sums[out];
    sum = 0;
  }
}

template <class T, bool NORM>
void launch(MoevalDevice& device, const ProductArgs& a, int32_t y_type, bool accumulate) {
  const int64_t ctas = std::min<int64_t>(ceil_div(a.n_out, kWarps), kCtasPerSm * device.sms());
  const auto run = [&](auto kernel) {
    launch_chained(device, kernel, static_cast<unsigned>(ctas), kThreads,
                   static_cast<size_t>(a.n_in) * sizeof(T), "product of one row", a);
  };
  if (y_type != kDeviceF32) return run(product_kernel<T, NORM, Result::stored>);
  if (accumulate) return run(product_kernel<T, NORM, Result::add_f32>);
  run(product_kernel<T, NORM, Result::f32>);
}

template <bool NORM>
void launch(MoevalDevice& device, int32_t type, const ProductArgs& a, int32_t y_type,
            bool accumulate) {
  if (type == kDeviceF16) return launch<__half, NORM>(device, a, y_type, accumulate);
  launch<bf16, NORM>(device, a, y_type, accumulate);
}

}  // namespace

bool one_row_takes(int32_t type, int64_t n_in) {
  return type != kDeviceF32 && n_in % 8 == 0 && n_in <= kMostIn;
}

void matmul_one_row(MoevalDevice& device, int32_t type, const void* x, const void* w, int64_t n_out,
                    int64_t n_in, const float* bias, int32_t y_type, bool accumulate, void* y) {
  const ProductArgs a{
      x, nullptr, nullptr, 0, w, bias, y, static_cast<int>(n_out), static_cast<int>(n_in)};
  launch<false>(device, type, a, y_type, accumulate);
}

void norm_matmul_one_row(MoevalDevice& device, const MoevalNormMatmul& p) {
  const ProductArgs a{p.x,
                      p.rows,
                      p.norm_weight,
                      p.eps,
                      p.w,
                      p.bias,
                      p.y,
                      static_cast<int>(p.n_out),
                      static_cast<int>(p.d)};
  launch<true>(device, p.type, a, p.y_type, false);
}

}  // namespace moeval_cuda
