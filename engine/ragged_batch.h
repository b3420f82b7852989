// Owns RaggedBatch: the rows of one step, each a token at a position of a sequence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/expert_budget.h"
#include "engine/kv_cache.h"
#include "engine/tokenizer.h"
#include "kernels/attention.h"

namespace engine {

// Rows of one sequence are added one after another, by position.
class RaggedBatch {
 public:
  explicit RaggedBatch(int64_t capacity);

  void clear();
  // Returns the row's number. Makes room in the sequence; it and the budget must outlive the step.
  int32_t add(KvSequence& sequence, TokenId token, int64_t position, const ExpertBudget& budget);

  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  int64_t room() const { return capacity_ - size(); }
  const TokenId* tokens() const { return tokens_.data(); }
  const int32_t* positions() const { return positions_.data(); }
  const ExpertBudget* const* budgets() const { return budgets_.data(); }

  // KV blocks of all sequences, layer 0, one sequence after another; and of each row where its
  // sequence's begin. After index_blocks(), until a row is added.
  void index_blocks();
  std::span<void* const> block_bases() const { return bases_; }
  std::span<const size_t> first_block() const { return first_; }
  // No two rows are of one sequence.
  bool one_row_each() const;

  // Rows with the KV blocks of one layer on the CPU; valid until the next call. layer_floats: size
  // of a block of one layer.
  const kernels::AttentionRow* layer(int32_t layer, int64_t layer_floats);

 private:
  const int64_t capacity_;
  std::vector<TokenId> tokens_;
  std::vector<int32_t> positions_;
  std::vector<KvSequence*> sequences_;  // of each row
  std::vector<const ExpertBudget*> budgets_;
  std::vector<size_t> first_;   // of each row: where its sequence's blocks begin
  std::vector<void*> bases_;    // blocks of all sequences, layer 0
  std::vector<float*> tables_;  // the same, the layer at hand
  std::vector<kernels::AttentionRow> rows_;
};

}  // namespace engine
