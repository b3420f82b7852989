// Owns the energy of a run: what the GPU that computed took from its beginning to its end. It is a
// fact of the run, not of a query: many queries run at once, and the counter moves too slowly.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/backend.h"
#include "kernels/power_meter.h"

namespace harness {

// Of the counter before and after. Too few seconds say nothing: n/a.
std::string energy_line(const std::string& device, std::optional<uint64_t> before_mj,
                        std::optional<uint64_t> after_mj, double seconds);

class RunEnergy {
 public:
  explicit RunEnergy(const engine::DeviceFacts&);  // begins

  // Joules with their source, or n/a and why; empty when no GPU computed.
  std::string line() const;

 private:
  const std::string device_;
  const std::chrono::steady_clock::time_point begin_;
  std::string why_not_;
  std::unique_ptr<kernels::PowerMeter> meter_;
  std::optional<uint64_t> before_mj_;
};

}  // namespace harness
