// Owns the decisions for one layer: which neurons form which expert, the router, the mean outputs.
#pragma once

#include "engine/convert/layer_plan.h"
#include "engine/convert/options.h"
#include "engine/convert/stop.h"
#include "engine/weights.h"

namespace engine::convert {

// block: the parent's feed-forward block; x [n, d_model]: its input on the calibration tokens.
// Steps 2, 3, 5 and 6 of the recommended algorithm. Independent of threads. Throws NoFit, and
// Stopped after the chunk of kChunkRows rows, or the step of the clustering, that is at work.
LayerPlan plan_layer(const Expert& block, const float* x, int64_t n, int32_t layer, const Options&,
                     kernels::ThreadPool&, const Stop& = {});

}  // namespace engine::convert
