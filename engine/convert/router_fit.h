// Owns the routers of a converted layer: the closed-form fit and its comparators.
#pragma once

#include "engine/convert/layer_plan.h"
#include "engine/convert/options.h"
#include "engine/convert/stop.h"
#include "engine/weights.h"

namespace engine::convert {

// The log is taken of norms plus this share of the mean norm, so that an expert that is silent on
// some token does not rule the fit.
inline constexpr double kNormFloor = 1e-2;

// Fills router, bias, mix and router_explained of a plan whose order and representatives are there.
// x [n, d_model]; means [n_experts, d_model]: what stands for an expert that is left out.
// ridge: log(|E_e(x) - b_e| + eps) regressed on x and the representatives' |h|. Throws NoFit,
// Stopped.
void fit_router(const Expert& block, const float* x, int64_t n, const Options&,
                const std::vector<float>& means, kernels::ThreadPool&, const Stop&, LayerPlan&);

}  // namespace engine::convert
