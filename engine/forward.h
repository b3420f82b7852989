// Owns the forward pass: one function for every family, over a ragged batch of rows.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/compute_ledger.h"
#include "engine/model_config.h"
#include "engine/ragged_batch.h"
#include "engine/rope_table.h"
#include "engine/weights.h"
#include "kernels/thread_pool.h"

namespace engine {

class Forward {
 public:
  // Rows whose logits are held at one time.
  static constexpr int64_t kHeadRows = 32;

  // The buffers are made here, once, for batches of up to max_rows. config and weights must outlive
  // this.
  Forward(const ModelConfig& config, const Weights& weights, int64_t max_rows,
          kernels::ThreadPool&);

  // Runs all layers; the rows' last states stay here until the next call.
  void run(RaggedBatch&);

  // Logits [vocab] of some rows of the last batch: consume(i, logits, thread) for rows[i], called
  // from several threads, in no order, once each.
  using LogitsConsumer = std::function<void(int64_t i, const float* logits, int thread)>;
  void head(std::span<const int32_t> rows, const LogitsConsumer& consume);

  // What the ops of all calls say they did.
  const ComputeLedger& launched() const { return launched_; }

 private:
  void embed(const RaggedBatch&);
  void attend(const LayerWeights&, RaggedBatch&, int32_t layer);
  void book(Part);

  const ModelConfig& config_;
  const Weights& weights_;
  kernels::ThreadPool& pool_;
  const kernels::AttentionShape shape_;
  const int64_t max_rows_;
  RopeTable rope_;
  ComputeLedger launched_;
  std::vector<float> x_, normed_, q_, k_, v_, mixed_, delta_, expert_scratch_, logits_;
};

}  // namespace engine
