// Owns the step from a dispatch to the products over experts: rows to their places, then a path.
#include <algorithm>

#include "kernels/cuda/experts.cuh"
#include "kernels/cuda/grouped_blas.cuh"
#include "kernels/cuda/grouped_plain.cuh"
#include "kernels/cuda/grouped_tensor.cuh"
#include "kernels/cuda/one_row.cuh"
#include "kernels/cuda/path_table.h"
#include "kernels/cuda/routing.cuh"
#include "kernels/cuda/skinny.cuh"

namespace moeval_cuda {
namespace {

constexpr int kGatherWarps = 8;
constexpr int kGatherUnroll = 8;

// A warp copies a row of `units` values V. offsets: of the call's first expert.
template <class V>
__global__ void __launch_bounds__(kGatherWarps * 32)
    gather_kernel(const V* __restrict__ x, const int32_t* __restrict__ source,
                  const int32_t* __restrict__ offsets, int32_t n, int64_t units,
                  V* __restrict__ out) {
  const int lane = threadIdx.x % 32;
  const int64_t end = offsets[n];
  for (int64_t place =
           offsets[0] + static_cast<int64_t>(blockIdx.x) * kGatherWarps + threadIdx.x / 32;
       place < end; place += static_cast<int64_t>(gridDim.x) * kGatherWarps) {
    const V* from = x + source[place] * units;
    V* to = out + place * units;
    for (int64_t base = lane; base < units; base += 32 * kGatherUnroll) {
      V values[kGatherUnroll];
#pragma unroll
      for (int i = 0; i < kGatherUnroll; ++i) {
        if (base + i * 32 < units) values[i] = __ldg(from + base + i * 32);
      }
#pragma unroll
      for (int i = 0; i < kGatherUnroll; ++i) {
        if (base + i * 32 < units) to[base + i * 32] = values[i];
      }
    }
  }
}

template <class V>
void gather(MoevalDevice& device, const MoevalExperts& e, const MoevalDispatch& dispatch,
            int64_t units) {
  const int64_t grid =
      std::min<int64_t>(ceil_div(e.places, kGatherWarps), static_cast<int64_t>(device.sms()) * 8);
  gather_kernel<V><<<static_cast<unsigned>(grid), kGatherWarps * 32, 0, device.stream>>>(
      static_cast<const V*>(e.x), dispatch.source, dispatch.offsets + e.first, e.n, units,
      static_cast<V*>(e.gathered));
  check_launch("gather_rows");
}

}  // namespace

void gather_rows(MoevalDevice& device, const MoevalExperts& e, const MoevalDispatch& dispatch) {
  if (e.places == 0 || e.n == 0) return;
  const int64_t bytes = e.d * type_bytes(e.type);
  const auto ends = reinterpret_cast<uintptr_t>(e.x) | reinterpret_cast<uintptr_t>(e.gathered);
  if (bytes % 16 == 0 && ends % 16 == 0) {
    gather<uint4>(device, e, dispatch, bytes / 16);
  } else if (bytes % 4 == 0 && ends % 4 == 0) {
    gather<uint32_t>(device, e, dispatch, bytes / 4);
  } else {
    gather<uint16_t>(device, e, dispatch, bytes / 2);
  }
}

void run_experts(MoevalDevice& device, const MoevalExperts& e, const MoevalDispatch& dispatch) {
  if (e.m == 0 || e.places == 0 || e.n == 0) return;
  PathChoice choice = choose_path({e.type, e.d, e.width, e.n, e.places, device.is_hopper()});
  if (e.path != kDevicePathAuto) {
    choice.path = e.path;
  } else {
    if (choice.path == kDevicePathTensor && !tensor_takes(device, e)) {
      choice.path = kDevicePathLooped;
    }
    // What is captured may not wait for counts.
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    check(cudaStreamIsCapturing(device.stream, &capture), "cudaStreamIsCapturing");
    if (choice.path == kDevicePathLooped && capture != cudaStreamCaptureStatusNone) {
      const bool skinny = skinny_takes(e.type, e.d) && skinny_takes(e.type, e.width);
      choice.path = skinny ? kDevicePathSkinny : kDevicePathPlain;
    }
  }
  switch (choice.path) {
    case kDevicePathPlain:
      return experts_plain(device, e, dispatch);
    case kDevicePathSkinny:
      return experts_skinny(device, e, dispatch);
    case kDevicePathTensor:
      gather_rows(device, e, dispatch);
      return experts_tensor(device, e, dispatch, choice.tile_rows);
    case kDevicePathGrouped:
    case kDevicePathLooped:
      gather_rows(device, e, dispatch);
      return experts_blas(device, e, dispatch, choice.path == kDevicePathGrouped);
  }
  throw DeviceError("no path " + std::to_string(e.path) + " for experts");
}

void experts_combine(MoevalDevice& device, const MoevalExperts& e, const MoevalDispatch& dispatch,
                     const MoevalCombine& to) {
  const bool whole = e.first == 0 && e.n == dispatch.n_experts && e.path == kDevicePathAuto;
  if (e.m == 1 && whole && !to.norm_weight && experts_one_row_takes(e)) {
    return experts_one_row(device, e, dispatch.n_experts, to);
  }
  run_experts(device, e, dispatch);
  combine(device, e.type, e.y, dispatch, to, e.m, e.d);
}

}  // namespace moeval_cuda
