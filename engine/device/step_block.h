// Owns what a step tells the GPU: its rows, their KV blocks and budgets, packed so that few copies
// bring them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/expert_budget.h"
#include "engine/model_config.h"
#include "engine/ragged_batch.h"
#include "kernels/device.h"

namespace engine {

class StepBlock {
 public:
  // For batches of up to max_rows rows of sequences of up to max_tokens positions. Addresses on the
  // device never change, so that a captured graph finds the next step's rows at the same place.
  StepBlock(std::shared_ptr<const kernels::Device>, const ModelConfig&, int64_t max_rows,
            int64_t max_tokens);
  static uint64_t bytes(const ModelConfig&, int64_t max_rows, int64_t max_tokens);

  // Packs a batch and starts its copy. padded_rows >= batch size: rows beyond it are padding.
  // alone: every row is a sequence of its own, and no tiles are made.
  void fill(RaggedBatch&, int64_t padded_rows, bool alone);

  const MoevalRows& rows() const { return rows_; }
  const int32_t* budget_of() const { return device<int32_t>(budget_of_); }
  const MoevalSelection* selections() const { return device<MoevalSelection>(selections_); }
  int32_t most_k() const { return most_k_; }    // experts of a row in a layer
  int64_t places() const { return places_; }    // most (row, expert) pairs of a layer
  int64_t choosing_rows(int32_t layer) const {  // rows that have something to choose
    return choosing_[static_cast<size_t>(layer)];
  }

 private:
  struct Layout;
  template <class T>
  T* host(uint64_t at) const {
    return pinned_.as<T>(at);
  }
  template <class T>
  T* device(uint64_t at) const {
    return memory_.as<T>(at);
  }
  int32_t budget_number(const ExpertBudget&);
  void add_tiles(const RaggedBatch&);

  const std::shared_ptr<const kernels::Device> device_;
  const ModelConfig config_;
  [[maybe_unused]] const int64_t max_rows_;
  // Offsets in both buffers; of selections and tables only the used part travels.
  uint64_t tokens_ = 0, positions_ = 0, table_at_ = 0, budget_of_ = 0, tiles_ = 0, selections_ = 0,
           tables_ = 0;
  kernels::DeviceBuffer pinned_, memory_;
  MoevalRows rows_{};
  int32_t most_k_ = 0;
  int64_t places_ = 0;
  std::vector<int64_t> choosing_;
  std::vector<const ExpertBudget*> budgets_;  // the different ones of the step
};

}  // namespace engine
