// Owns what is known about machine and build: for the environment row, the fingerprint, `doctor`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/backend.h"

namespace harness {

struct Environment {
  std::string os, kernel, cpu_model, host;
  int64_t cpu_cores = 0;  // that this process may use
  int64_t ram_bytes = 0;
  std::string instruction_set;  // of the kernels in use
  std::string compiler, build_flags, build_type;
  std::string tool_version, git_sha;
  bool git_dirty = false;
  std::string binary_sha256;
  // Of the GPU that computes; empty where none does.
  std::optional<std::string> gpu_model, gpu_driver, cuda_version;
  int64_t gpu_count = 0;
  std::string fingerprint() const;  // sha256 over all but host
};

// Reads the machine once.
Environment read_environment();

// Adds the GPU, where one computes.
void add_gpu(const engine::DeviceFacts&, Environment*);

}  // namespace harness
