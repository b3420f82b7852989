#include "engine/comm/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace engine {

Placement::Placement(int32_t n_experts, int ranks, std::vector<int32_t> expert_of_slot)
    : ranks_(ranks), expert_of_slot_(std::move(expert_of_slot)) {
  if (ranks < 1 || n_slots() % ranks != 0) {
    throw std::invalid_argument(
        fmt::format("placement: {} slots do not spread over {} ranks", n_slots(), ranks));
  }
  for (const int32_t e : expert_of_slot_) {
    if (e < -1 || e >= n_experts) {
      throw std::invalid_argument(
          fmt::format("placement: a slot holds expert {}, there are {}", e, n_experts));
    }
  }
  for (int32_t e = 0; e < n_experts; ++e) {
    first_.push_back(slots_.size());
    for (int32_t s = 0; s < n_slots(); ++s) {
      if (expert_of_slot_[s] != e) continue;
      if (slots_.size() > first_[e] && slots_.back() / slots_per_rank() == s / slots_per_rank()) {
        throw std::invalid_argument(
            fmt::format("placement: rank {} holds expert {} twice", s / slots_per_rank(), e));
      }
      slots_.push_back(s);
    }
    if (slots_.size() == first_[e]) {
      throw std::invalid_argument(fmt::format("placement: expert {} is on no rank", e));
    }
  }
  first_.push_back(slots_.size());
}

Placement Placement::blocks(int32_t n_experts, int ranks) {
  const int64_t per_rank = (static_cast<int64_t>(n_experts) + ranks - 1) / ranks;
  std::vector<int32_t> expert_of_slot(static_cast<size_t>(per_rank * ranks), -1);
  for (int64_t r = 0; r < ranks; ++r) {
    const int64_t first = n_experts * r / ranks, last = n_experts * (r + 1) / ranks;
    for (int64_t e = first; e < last; ++e) {
      expert_of_slot[static_cast<size_t>(r * per_rank + e - first)] = static_cast<int32_t>(e);
    }
  }
  return {n_experts, ranks, std::move(expert_of_slot)};
}

}  // namespace engine
