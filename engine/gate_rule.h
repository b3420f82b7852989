// Owns what the weights of the chosen experts are, of a model and the norm that a run asks for.
#pragma once

#include "engine/expert_budget.h"
#include "engine/model_config.h"
#include "kernels/select_experts.h"

namespace engine {

// Throws std::invalid_argument when the weights of the model's experts are 1 and the norm asks for
// something else.
kernels::GateRule gate_rule(const MoeConfig&, GateNorm);

kernels::SelectRule select_rule(Selector);

}  // namespace engine
