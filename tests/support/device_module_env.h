// Says which module of GPU ops the program loads, for the life of a test.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace test_support {

// An environment variable that is put back at the end. No value: unset.
class EnvironmentGuard {
 public:
  EnvironmentGuard(std::string name, const std::optional<std::string>& value)
      : name_(std::move(name)) {
    if (const char* before = std::getenv(name_.c_str())) before_ = before;
    put(value);
  }
  ~EnvironmentGuard() { put(before_); }
  EnvironmentGuard(const EnvironmentGuard&) = delete;
  EnvironmentGuard& operator=(const EnvironmentGuard&) = delete;

 private:
  void put(const std::optional<std::string>& value) {
    value ? ::setenv(name_.c_str(), value->c_str(), 1) : ::unsetenv(name_.c_str());
  }
  const std::string name_;
  std::optional<std::string> before_;
};

// reference_device, broken_device_no_devices, broken_device_no_entry, broken_device_wrong_abi.
inline std::filesystem::path device_module(const std::string& name) {
  return std::filesystem::path(MOEVAL_BINARY_DIR) / "device_modules" / ("lib" + name + ".so");
}

// The module in place of the real one. bytes: memory of the reference device.
class DeviceModuleGuard {
 public:
  explicit DeviceModuleGuard(const std::string& name = "reference_device",
                             uint64_t bytes = uint64_t{32} << 20)
      : path_("MOEVAL_CUDA_MODULE", device_module(name).string()),
        bytes_("MOEVAL_REFERENCE_DEVICE_BYTES", std::to_string(bytes)) {}

 private:
  const EnvironmentGuard path_, bytes_;
};

}  // namespace test_support
