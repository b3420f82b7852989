// Owns where a model computes: the choice, the loading there, and how the place is named to people
// and in fingerprints.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "engine/engine.h"

namespace harness {

struct DeviceChoice {
  std::string name = "cpu";                            // cpu, cuda:N, or auto
  engine::DeviceType type = engine::DeviceType::bf16;  // on a GPU
};

inline constexpr const char* kDeviceNames = "cpu, auto, or cuda:N as in cuda:0";
bool is_device_name(std::string_view);

// Says on stderr which GPU computes, or why auto took the CPU. Throws UsageError (no such name),
// and as Engine::load.
std::unique_ptr<engine::Engine> load_engine(const engine::Checkpoint&, const DeviceChoice&,
                                            engine::EngineOptions);

std::string device_label(const engine::DeviceFacts&);  // "cpu", "cuda:0 bf16"

// What decides the last bits of a GPU's numbers; empty for the CPU.
std::map<std::string, std::string> device_fingerprint(const engine::DeviceFacts&);

std::string cuda_version(int32_t);    // 13000 -> "13.0"
std::string cublas_version(int32_t);  // 120401 -> "12.4.1"

}  // namespace harness
