#include "harness/run_energy.h"

#include <fmt/format.h>

#include "harness/text_table.h"

namespace harness {
namespace {

// The counter moves every 20 to 100 ms: over ten of its periods it is off by a tenth at most.
constexpr double kLeastSeconds = 1;

}  // namespace

std::string energy_line(const std::string& device, std::optional<uint64_t> before_mj,
                        std::optional<uint64_t> after_mj, double seconds) {
  if (seconds < kLeastSeconds)
    return fmt::format("energy n/a (under {:g} s: too short for NVML's counter)", kLeastSeconds);
  if (!before_mj || !after_mj || *after_mj < *before_mj)
    return "energy n/a (NVML's counter could not be read)";
  return fmt::format("energy {}J in {} (NVML counter of all of {}, idle power included)",
                     si(static_cast<double>(*after_mj - *before_mj) * 1e-3), duration(seconds),
                     device);
}

RunEnergy::RunEnergy(const engine::DeviceFacts& device)
    : device_(device.device), begin_(std::chrono::steady_clock::now()) {
  if (device_ == "cpu") return;
  meter_ = kernels::PowerMeter::open(device.uuid, &why_not_);
  if (meter_) before_mj_ = meter_->energy_mj();
}

std::string RunEnergy::line() const {
  if (device_ == "cpu") return "";
  if (!meter_) return fmt::format("energy n/a ({})", why_not_);
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin_;
  return energy_line(device_, before_mj_, meter_->energy_mj(), passed.count());
}

}  // namespace harness
