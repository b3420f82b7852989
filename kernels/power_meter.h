// Owns the reading of a GPU's energy counter through NVML, which comes with the driver and is
// loaded at run time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace kernels {

class PowerMeter {
 public:
  // uuid: as MoevalDeviceInfo has it. Null where the counter cannot be read; *why_not: one line.
  static std::unique_ptr<PowerMeter> open(const std::string& uuid, std::string* why_not);

  // mJ that the whole GPU took since the driver was loaded, idle time and other programs included.
  // The counter moves every 20 to 100 ms. Nothing when it could not be read.
  std::optional<uint64_t> energy_mj() const;

 private:
  explicit PowerMeter(void* device) : device_(device) {}
  void* const device_;  // NVML's handle
};

// Version of NVIDIA's driver, as in 580.159.04; empty without NVML.
std::string gpu_driver_version();

}  // namespace kernels
