// Owns the forward pass on the CPU: one function for every family, over a ragged batch of rows.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "engine/compute_ledger.h"
#include "engine/forward.h"
#include "engine/model_config.h"
#include "engine/moe_layer.h"
#include "engine/ragged_batch.h"
#include "engine/rope_table.h"
#include "engine/routing_trace.h"
#include "engine/weights.h"
#include "kernels/thread_pool.h"

namespace engine {

class CpuForward final : public Forward {
 public:
  // Rows whose logits are held at one time.
  static constexpr int64_t kHeadRows = 32;

  // The buffers are made here, once, for batches of up to max_rows. config and weights must outlive
  // this. ranks: of the expert-parallel group, see MoeLayer.
  CpuForward(const ModelConfig& config, const Weights& weights, GateNorm, int64_t max_rows,
             int ranks, kernels::ThreadPool&);

  void run(RaggedBatch&, const HeadAsks&) override;
  void read_heads(const HeadConsumer&) override;
  const StepRouting& routing() const override { return routing_; }
  const ComputeLedger& launched() const override { return launched_; }

  // The steps of run(), for who works between them: begin() embeds the rows, run_layer() runs one
  // layer on the states [size, d_model], which may be read and replaced.
  void begin(RaggedBatch&);
  void run_layer(RaggedBatch&, int32_t layer);
  float* states() { return x_.data(); }

  // Shown the normed input x [m, d_model] of every feed-forward block that runs; null = nobody.
  using FfnObserver = std::function<void(int32_t layer, const float* x, int64_t m)>;
  void observe_ffn(FfnObserver observer) { observer_ = std::move(observer); }
  void explore_routers(RouterExploration* e) { moe_.explore(e); }

 private:
  void embed(const RaggedBatch&);
  void attend(const LayerWeights&, RaggedBatch&, int32_t layer);
  void book(Part);

  const ModelConfig& config_;
  const Weights& weights_;
  kernels::ThreadPool& pool_;
  const kernels::AttentionShape shape_;
  const int64_t max_rows_;
  const HeadAsks* asks_ = nullptr;
  RopeTable rope_;
  MoeLayer moe_;
  StepRouting routing_;
  FfnObserver observer_;
  ComputeLedger launched_;
  std::vector<float> asked_;  // logits of single tokens
  std::vector<float> x_, normed_, q_, k_, v_, mixed_, delta_, logits_;
};

}  // namespace engine
