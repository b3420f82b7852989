// Owns the pass of the dense parent over calibration text, one layer at a time, so that memory
// holds one state per token and no layer is computed twice.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/cpu_forward.h"
#include "engine/model_config.h"
#include "engine/tokenizer.h"
#include "engine/weights.h"
#include "kernels/thread_pool.h"

namespace engine::convert {

using Window = std::vector<TokenId>;  // tokens that attend to each other

// Cuts documents into windows of `length` tokens; a rest of less than kShortestWindow is dropped.
inline constexpr size_t kShortestWindow = 8;
std::vector<Window> cut_windows(const std::vector<std::vector<TokenId>>& documents, int64_t length);

// An even sample of windows with at most `tokens` of them (0 = all), in order.
std::vector<Window> sample_windows(std::vector<Window>, int64_t tokens);

int64_t count_tokens(const std::vector<Window>&);

class Calibration {
 public:
  // All must outlive this.
  Calibration(const ModelConfig&, const Weights&, const std::vector<Window>&, kernels::ThreadPool&);

  int64_t n_tokens() const { return n_tokens_; }
  // Runs layer 0, 1, 2 ... one a call. False when `stop` came true; then this is of no more use.
  bool advance(const std::atomic<bool>& stop);
  // Normed input of the feed-forward block of the layer that ran last: [n_tokens, d_model].
  const float* ffn_inputs() const { return inputs_.data(); }

 private:
  const ModelConfig& config_;
  const std::vector<Window>& windows_;
  const int64_t n_tokens_;
  const ExpertBudget budget_;
  std::shared_ptr<KvPool> kv_pool_;
  CpuForward forward_;
  RaggedBatch batch_;
  int32_t layer_ = 0;
  std::vector<float> states_, inputs_;  // [n_tokens, d_model]
};

}  // namespace engine::convert
