// Contracts of the choice of experts, of the order of rows by expert, and of the sum of what comes
// back: MoevalDeviceTable::select, dispatch, combine.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

inline constexpr int kMaxRouted = 512;  // routed experts of a layer

// Throws DeviceError: more routed experts than kMaxRouted.
void check_experts(int32_t n_routed);

void select(MoevalDevice&, const MoevalRouting&, int64_t m);
void dispatch(MoevalDevice&, const int16_t* ids, int64_t m, const MoevalDispatch&);
void route(MoevalDevice&, const MoevalRoute&, int64_t m);
void combine(MoevalDevice&, int32_t type, const void* y, const MoevalDispatch&,
             const MoevalCombine&, int64_t m, int64_t d);

}  // namespace moeval_cuda
