#include "engine/ragged_batch.h"

#include <cassert>

namespace engine {

RaggedBatch::RaggedBatch(int64_t capacity) : capacity_(capacity) {
  tokens_.reserve(capacity);
  positions_.reserve(capacity);
  sequences_.reserve(capacity);
  budgets_.reserve(capacity);
  rows_.reserve(capacity);
}

void RaggedBatch::clear() {
  tokens_.clear();
  positions_.clear();
  sequences_.clear();
  budgets_.clear();
  bases_.clear();
  rows_.clear();
}

int32_t RaggedBatch::add(KvSequence& sequence, TokenId token, int64_t position,
                         const ExpertBudget& budget) {
  assert(room() > 0);
  sequence.grow(position + 1);
  tokens_.push_back(token);
  positions_.push_back(static_cast<int32_t>(position));
  sequences_.push_back(&sequence);
  budgets_.push_back(&budget);
  return static_cast<int32_t>(size() - 1);
}

void RaggedBatch::index_blocks() {
  if (!bases_.empty()) return;
  first_.resize(tokens_.size());
  for (size_t r = 0; r < tokens_.size(); ++r) {
    if (r > 0 && sequences_[r] == sequences_[r - 1]) {
      first_[r] = first_[r - 1];
      continue;
    }
    first_[r] = bases_.size();
    const auto blocks = sequences_[r]->blocks();
    bases_.insert(bases_.end(), blocks.begin(), blocks.end());
  }
}

bool RaggedBatch::one_row_each() const {
  for (size_t r = 1; r < sequences_.size(); ++r) {
    if (sequences_[r] == sequences_[r - 1]) return false;
  }
  return true;
}

const kernels::AttentionRow* RaggedBatch::layer(int32_t layer, int64_t layer_floats) {
  if (rows_.empty()) {
    index_blocks();
    tables_.resize(bases_.size());
    for (size_t r = 0; r < tokens_.size(); ++r) {
      rows_.push_back({positions_[r], tables_.data() + first_[r]});
    }
  }
  for (size_t i = 0; i < bases_.size(); ++i) {
    tables_[i] = static_cast<float*>(bases_[i]) + layer * layer_floats;
  }
  return rows_.data();
}

}  // namespace engine
