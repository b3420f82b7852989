#include "engine/compute_ledger.h"

namespace engine {

std::string_view part_name(Part p) {
  static constexpr std::string_view kNames[] = {"attention", "router", "experts", "head",
                                                "predictor"};
  return kNames[static_cast<int>(p)];
}

void ComputeLedger::add_useful(Part p, const kernels::Cost& c) {
  useful_[static_cast<int>(p)] += c;
}

void ComputeLedger::add_executed(Part p, const kernels::Cost& c) {
  executed_[static_cast<int>(p)] += c;
}

uint64_t ComputeLedger::useful_flops() const {
  uint64_t sum = 0;
  for (const auto& c : useful_) sum += c.flops;
  return sum;
}

uint64_t ComputeLedger::executed_flops() const {
  uint64_t sum = 0;
  for (const auto& c : executed_) sum += c.flops;
  return sum;
}

uint64_t ComputeLedger::executed_weight_bytes() const {
  uint64_t sum = 0;
  for (const auto& c : executed_) sum += c.weight_bytes;
  return sum;
}

ComputeLedger& ComputeLedger::operator+=(const ComputeLedger& o) {
  for (int i = 0; i < kParts; ++i) {
    useful_[i] += o.useful_[i];
    executed_[i] += o.executed_[i];
  }
  return *this;
}

}  // namespace engine
