#include "engine/expert_budget.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <stdexcept>

namespace engine {
namespace {

void check_k(int32_t k, const MoeConfig& moe) {
  if (k < 1 || k > moe.max_k()) {
    throw std::invalid_argument(
        fmt::format("budget of {} experts, this model runs 1 to {}", k, moe.max_k()));
  }
}

}  // namespace

const char* gate_norm_name(GateNorm n) {
  static constexpr const char* kNames[] = {"model", "raw", "renormalised", "trained_mass"};
  return kNames[static_cast<int>(n)];
}

std::string ExpertBudget::key() const {
  std::string out = fmt::format("k={}", k);
  if (!k_per_layer.empty()) out += fmt::format(";layers={}", fmt::join(k_per_layer, ","));
  if (selector == Selector::top_p) out += fmt::format(";top_p={}", value);
  if (selector == Selector::threshold) out += fmt::format(";threshold={}", value);
  if (selector == Selector::entropy) out += fmt::format(";entropy={}+{}", value, slope);
  return out;
}

void ExpertBudget::check(const MoeConfig& moe, int32_t n_layers) const {
  check_k(k, moe);
  if (!k_per_layer.empty() && static_cast<int32_t>(k_per_layer.size()) != n_layers) {
    throw std::invalid_argument(
        fmt::format("budget names {} layers, this model has {}", k_per_layer.size(), n_layers));
  }
  for (const int16_t per_layer : k_per_layer) check_k(per_layer, moe);
  if (!std::isfinite(value) || !std::isfinite(slope)) {
    throw std::invalid_argument("budget: the selector's value is not finite");
  }
}

}  // namespace engine
