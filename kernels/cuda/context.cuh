// Owns what every op of the module needs: the device with its stream and handles, and the checks
// that turn CUDA's error codes into one exception. Exceptions end at the C table (table.cu).
#pragma once

#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernels/device_table.h"

struct MoevalDevice {
  int32_t index = 0;
  cudaDeviceProp properties{};
  cudaStream_t stream = nullptr;
  cublasHandle_t blas = nullptr;
  void* blas_workspace = nullptr;
  cudaEvent_t marks[16] = {};
  uint32_t* arrivals = nullptr;  // device memory, 0 between kernels: how many CTAs are done
  // What is known of a stretch of one row of logits: scratch of head_facts().
  struct HeadPart {
    double sum;
    float largest;
    int32_t id, finite;
  };
  static constexpr int kHeadRows = 8, kHeadParts = 16;
  HeadPart* head_parts = nullptr;  // device memory [kHeadRows, kHeadParts]
  void* pinned_counts = nullptr;   // host memory that routing counts come to, of the cuBLAS paths

  int sms() const { return properties.multiProcessorCount; }
  bool is_hopper() const { return properties.major == 9; }
};

namespace moeval_cuda {

using bf16 = __nv_bfloat16;

class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // it has its say here, not after the next launch
  throw DeviceError(std::string(what) + ": " + cudaGetErrorString(code));
}
inline void check(cublasStatus_t code, const char* what) {
  if (code != CUBLAS_STATUS_SUCCESS) {
    throw DeviceError(std::string(what) + ": " + cublasGetStatusString(code));
  }
}
// After every launch.
inline void check_launch(const char* kernel) { check(cudaGetLastError(), kernel); }

template <class T>
constexpr int type_of();
template <>
constexpr int type_of<float>() {
  return kDeviceF32;
}
template <>
constexpr int type_of<__half>() {
  return kDeviceF16;
}
template <>
constexpr int type_of<bf16>() {
  return kDeviceBf16;
}

inline cudaDataType_t blas_type(int32_t type) {
  return type == kDeviceF32 ? CUDA_R_32F : type == kDeviceF16 ? CUDA_R_16F : CUDA_R_16BF;
}
inline int64_t type_bytes(int32_t type) { return type == kDeviceF32 ? 4 : 2; }

// Calls f with a value of the element type: with_type(type, [&](auto zero) { using T = ...; }).
template <class F>
void with_type(int32_t type, F&& f) {
  switch (type) {
    case kDeviceF32:
      return f(float{});
    case kDeviceF16:
      return f(__half{});
    case kDeviceBf16:
      return f(bf16{});
  }
  throw DeviceError("element type " + std::to_string(type) + " is none of f32, f16, bf16");
}

__device__ inline float to_float(float v) { return v; }
__device__ inline float to_float(__half v) { return __half2float(v); }
__device__ inline float to_float(bf16 v) { return __bfloat162float(v); }
template <class T>
__device__ T from_float(float v);
template <>
__device__ inline float from_float<float>(float v) {
  return v;
}
template <>
__device__ inline __half from_float<__half>(float v) {
  return __float2half_rn(v);
}
template <>
__device__ inline bf16 from_float<bf16>(float v) {
  return __float2bfloat16_rn(v);
}

// silu(g) * u
__device__ inline float swiglu_value(float g, float u) { return g / (1.0f + __expf(-g)) * u; }

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace moeval_cuda
