// Owns ComputeLedger: who paid which FLOPs, in exact integers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "kernels/cost.h"

namespace engine {

enum class Part : uint8_t { attention, router, experts, head, predictor };
inline constexpr int kParts = 5;
std::string_view part_name(Part);

// useful: what the query would cost run alone, its whole prompt included. executed: what was
// launched for it (a shared prefix is booked by the prefix, not by its users; a continuation that
// is scored beside a generated answer is a measurement, and only executed).
class ComputeLedger {
 public:
  void add_useful(Part, const kernels::Cost&);
  void add_executed(Part, const kernels::Cost&);
  void add(Part p, const kernels::Cost& c) {
    add_useful(p, c);
    add_executed(p, c);
  }
  uint64_t useful_flops(Part p) const { return useful_[static_cast<int>(p)].flops; }
  uint64_t executed_flops(Part p) const { return executed_[static_cast<int>(p)].flops; }
  uint64_t useful_flops() const;
  uint64_t executed_flops() const;
  uint64_t executed_weight_bytes() const;  // of launched ops, not of what was booked by shape
  ComputeLedger& operator+=(const ComputeLedger&);
  friend bool operator==(const ComputeLedger&, const ComputeLedger&) = default;

 private:
  std::array<kernels::Cost, kParts> useful_{}, executed_{};
};

}  // namespace engine
