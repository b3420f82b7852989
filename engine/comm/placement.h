// Owns Placement: which rank holds which routed expert. Routing names logical experts; they become
// physical slots only when rows are sent.
#pragma once

#include <cstdint>
#include <vector>

namespace engine {

// Slots are numbered rank by rank: slot s is on rank s / slots_per_rank(). An expert may have
// several slots (replicas); results do not depend on which one serves a row.
class Placement {
 public:
  // expert_of_slot [ranks * slots_per_rank], -1 where a slot is unused. Throws
  // std::invalid_argument when an expert of 0..n_experts-1 has no slot, a slot names another one,
  // or a rank holds an expert twice.
  Placement(int32_t n_experts, int ranks, std::vector<int32_t> expert_of_slot);
  // Contiguous blocks, their sizes at most one apart; ranks past the experts hold none.
  static Placement blocks(int32_t n_experts, int ranks);

  int ranks() const { return ranks_; }
  int32_t n_slots() const { return static_cast<int32_t>(expert_of_slot_.size()); }
  int32_t slots_per_rank() const { return ranks_ == 0 ? 0 : n_slots() / ranks_; }
  int32_t expert_of(int32_t slot) const { return expert_of_slot_[slot]; }
  // The slot that serves `expert` for a row; key spreads rows over replicas and must not come from
  // a clock or an order of arrival.
  int32_t slot_of(int32_t expert, uint64_t key) const {
    const auto first = first_[expert], n = first_[expert + 1] - first;
    return slots_[first + (n == 1 ? 0 : key % n)];
  }

 private:
  int ranks_;
  std::vector<int32_t> expert_of_slot_;
  std::vector<int32_t> slots_;   // by expert
  std::vector<uint64_t> first_;  // [n_experts + 1], into slots_
};

}  // namespace engine
