// Owns the plan of a GPU's memory: what a model needs, made before anything is allocated.
#pragma once

#include <cstdint>

#include "engine/device/device_workspace.h"
#include "engine/model_config.h"
#include "kernels/device.h"

namespace engine {

struct MemoryPlan {
  uint64_t weights = 0, workspace = 0;
  uint64_t kv_least = 0;  // one sequence of the longest context
  uint64_t kv_limit = 0;  // what keys and values may take: all that is left, less a reserve
};

// Throws DeviceError when it does not fit: what is needed, what is free, what would fit.
MemoryPlan plan_memory(const kernels::Device&, const ModelConfig&, const DeviceStepSizes&);

}  // namespace engine
