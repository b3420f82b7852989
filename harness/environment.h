// Owns what is known about machine and build: for the environment row, the fingerprint, `doctor`.
#pragma once

#include <cstdint>
#include <string>

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
  std::string fingerprint() const;  // sha256 over all but host
};

// Reads the machine once.
Environment read_environment();

}  // namespace harness
