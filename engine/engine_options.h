// Owns EngineOptions: how a checkpoint is run.
#pragma once

#include <cstdint>
#include <string>

#include "engine/expert_budget.h"

namespace engine {

// Element type of weights, keys and values, and activations on a GPU; sums are fp32 in each.
enum class DeviceType : uint8_t { bf16, f16, f32 };
const char* device_type_name(DeviceType);

struct EngineOptions {
  int threads = 0;  // 0 = one per core this process may use
  // Rows of one prefill step; 0 = 512 on the CPU, 4096 on a GPU.
  int64_t max_batch_rows = 0;
  int32_t max_streams = 16;  // sequences that decode together
  int64_t max_tokens = 0;    // context limit; 0 = the model's own
  GateNorm gate_norm = GateNorm::model;
  int ranks = 1;  // thread ranks of the expert-parallel group; changes no result; CPU only
  // cpu, cuda:N, or auto: the first GPU that holds the model, else the CPU.
  std::string device = "cpu";
  DeviceType device_type = DeviceType::bf16;
  // Filled in when auto took the CPU: why.
  std::string device_passed_over;
};

}  // namespace engine
