// Owns the choice of experts of all rows of a step: one warp for each.
#include "kernels/cuda/chain.cuh"
#include "kernels/cuda/routing.cuh"
#include "kernels/cuda/select_row.cuh"

namespace moeval_cuda {
namespace {

constexpr int kWarps = 4, kLanes = 32;

template <class T, int HELD>
__global__ void __launch_bounds__(kWarps* kLanes) select_kernel(const MoevalRouting r, int64_t m) {
  await_previous();
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kLanes;
  if (row >= m) return;
  select_row<T, HELD>(r, choice_of(r, row), row, r.scores + row * r.n_routed,
                      static_cast<int>(threadIdx.x) % kLanes);
}

}  // namespace

void check_experts(int32_t n_routed) {
  if (n_routed > kMaxRouted) {
    throw DeviceError("a layer has " + std::to_string(n_routed) + " routed experts, at most " +
                      std::to_string(kMaxRouted) + " are supported");
  }
}

void select(MoevalDevice& device, const MoevalRouting& r, int64_t m) {
  if (m == 0) return;
  check_experts(r.n_routed);
  with_type(r.type, [&](auto zero) {
    with_held(r.n_routed, [&](auto held) {
      launch_chained(device, select_kernel<decltype(zero), held.value>,
                     static_cast<unsigned>(ceil_div(m, kWarps)), kWarps * kLanes, 0,
                     "choice of experts", r, m);
    });
  });
}

}  // namespace moeval_cuda
