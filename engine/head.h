// Owns what a step asks of the head, and what comes back: a row of logits itself is wanted rarely,
// and a backend whose memory is far away moves it only then.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/tokenizer.h"
#include "kernels/function_ref.h"

namespace engine {

enum HeadWant : uint8_t {
  kWantArgmax = 1,
  kWantNormaliser = 2,  // log of the sum of exponentials
  kWantLogits = 4       // the whole row
};

// Rows of a step whose logits are needed.
class HeadAsks {
 public:
  void clear() {
    rows_.clear();
    wants_.clear();
    ends_.clear();
    tokens_.clear();
  }
  // tokens: whose logits are wanted one by one.
  void add(int32_t row, uint8_t wants, std::span<const TokenId> tokens = {}) {
    rows_.push_back(row);
    wants_.push_back(wants);
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    ends_.push_back(tokens_.size());
  }
  int64_t size() const { return static_cast<int64_t>(rows_.size()); }
  std::span<const int32_t> rows() const { return rows_; }
  uint8_t wants(int64_t i) const { return wants_[static_cast<size_t>(i)]; }
  size_t first_token(int64_t i) const { return i == 0 ? 0 : ends_[static_cast<size_t>(i) - 1]; }
  std::span<const TokenId> tokens(int64_t i) const {
    return std::span(tokens_).subspan(first_token(i),
                                      ends_[static_cast<size_t>(i)] - first_token(i));
  }
  const std::vector<TokenId>& all_tokens() const { return tokens_; }

 private:
  std::vector<int32_t> rows_;
  std::vector<uint8_t> wants_;
  std::vector<size_t> ends_;
  std::vector<TokenId> tokens_;
};

// Of one ask; only what was wanted is there. Where not finite, nothing else but the row is meant.
struct HeadView {
  bool finite = true;  // every logit of the row
  TokenId argmax = 0;
  double log_sum_exp = 0;         // nats
  const float* asked = nullptr;   // logits of the tokens, in their order
  const float* logits = nullptr;  // [vocab]
};

// consume(i, view, thread) for the i-th ask, possibly from several threads, in no order, once each.
using HeadConsumer = kernels::FunctionRef<void(int64_t i, const HeadView&, int thread)>;

}  // namespace engine
