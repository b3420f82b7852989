// Owns LayerPlan, what the conversion decided for one layer, and its file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace engine::convert {

struct LayerPlan {
  // Neuron of the parent at every place; expert e owns the places [e, e + 1) * width / n_experts.
  std::vector<int32_t> order;            // [width]
  std::vector<int32_t> representatives;  // [n_routed * n_representatives], neurons of the parent
  std::vector<float> router, bias, mix;  // as engine/weights.h: Router; empty where there is none
  std::vector<float> activation_scale;   // [n_routed, d_expert], or empty
  std::vector<float> means;              // [n_experts, d_model], or empty
  // For the report.
  double shared_importance = 0;  // share of the importance that the shared experts hold
  double router_explained = 0;   // mean R^2 of the fitted router; 0 when none was fitted

  friend bool operator==(const LayerPlan&, const LayerPlan&) = default;
};

// Written beside its name, synced, renamed; so a file that is there is whole. Throws
// std::system_error when the disk does not take it.
void save_plan(const std::filesystem::path&, const LayerPlan&);
// Nothing when the file is absent or its checksum is wrong: the layer is planned again.
std::optional<LayerPlan> load_plan(const std::filesystem::path&);

}  // namespace engine::convert
