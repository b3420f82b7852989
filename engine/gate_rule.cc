#include "engine/gate_rule.h"

#include <fmt/format.h>

#include <stdexcept>

namespace engine {

kernels::GateRule gate_rule(const MoeConfig& moe, GateNorm norm) {
  if (moe.unit_weights) {
    if (norm != GateNorm::model) {
      throw std::invalid_argument(
          fmt::format("gate norm {}: the experts of this model have no weights to change",
                      gate_norm_name(norm)));
    }
    return kernels::GateRule::unit;
  }
  switch (norm) {
    case GateNorm::model:
      return moe.renormalise ? kernels::GateRule::divided : kernels::GateRule::softmax;
    case GateNorm::raw:
      return kernels::GateRule::softmax;
    case GateNorm::renormalised:
      return kernels::GateRule::divided;
    case GateNorm::trained_mass:
      return moe.renormalise ? kernels::GateRule::divided_by_trained
                             : kernels::GateRule::scaled_to_trained;
  }
  return kernels::GateRule::softmax;
}

kernels::SelectRule select_rule(Selector s) {
  switch (s) {
    case Selector::top_k:
      return kernels::SelectRule::top_k;
    case Selector::top_p:
      return kernels::SelectRule::top_p;
    case Selector::threshold:
      return kernels::SelectRule::threshold;
    case Selector::entropy:
      return kernels::SelectRule::entropy;
  }
  return kernels::SelectRule::top_k;
}

}  // namespace engine
