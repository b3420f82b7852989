// Owns the step from trained networks to a predictor's file: two networks side by side in one.
#pragma once

#include "engine/policy/predictor_writer.h"
#include "engine/train/cross_fit.h"

namespace engine::train {

// Networks, standardisation, grid and rule; the rest of the content is the caller's. The success
// model and the policy, which looked at the same features of the same rows, become blocks of the
// same layers; a family becomes its policy at lambda.
PredictorContent export_predictor(const Fitted&, std::span<const int32_t> grid, double lambda);

}  // namespace engine::train
