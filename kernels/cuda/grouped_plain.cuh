// Contract of the products over experts without tensor cores: any type, any shape.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

// kDevicePathPlain: both products; rows are read through the dispatch, `gathered` stays untouched.
// A row's result does not depend on the other rows.
void experts_plain(MoevalDevice&, const MoevalExperts&, const MoevalDispatch&);

}  // namespace moeval_cuda
