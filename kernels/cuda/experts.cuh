// Contract of the feed-forward blocks of a layer's experts.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

// As MoevalDeviceTable::experts.
void run_experts(MoevalDevice&, const MoevalExperts&, const MoevalDispatch&);

// As MoevalDeviceTable::experts_combine.
void experts_combine(MoevalDevice&, const MoevalExperts&, const MoevalDispatch&,
                     const MoevalCombine&);

// Rows of x to `gathered` by place, those of the call's experts. For the paths that do not read x
// through the dispatch: tensor, grouped, looped.
void gather_rows(MoevalDevice&, const MoevalExperts&, const MoevalDispatch&);

}  // namespace moeval_cuda
