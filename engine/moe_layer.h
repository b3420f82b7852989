// Owns the feed-forward block of a layer: the experts of each row and their sum.
#pragma once

#include <cstdint>

#include "engine/weights.h"
#include "kernels/thread_pool.h"

namespace engine {

// Floats of scratch that run_experts needs for m rows.
int64_t experts_scratch_floats(const MoeConfig&, int64_t m);

// y[r] = sum over the row's experts of weight * expert(x[r]); x, y [m, d_model]. A dense block is
// one expert of weight 1.
void run_experts(const LayerWeights&, const float* x, int64_t m, float* scratch, float* y,
                 kernels::ThreadPool&);

}  // namespace engine
