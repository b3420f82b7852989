// Owns the façade of the engine: load a checkpoint, run requests, collect completions.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/checkpoint.h"
#include "engine/compute_ledger.h"
#include "engine/engine_options.h"
#include "engine/expert_budget.h"
#include "engine/model_config.h"
#include "engine/parameters.h"
#include "engine/request.h"

namespace engine {

// The next request, or nothing when the source is dry. Called from the run() thread only.
using RequestSource = std::function<std::optional<Request>()>;
using CompletionSink = std::function<void(Completion)>;

// After load all methods but run() and make_prefix() are const; one caller at a time.
class Engine {
 public:
  // Throws ModelFileError; kernels::DeviceError when the GPU that was asked for cannot be used, or
  // does not hold the model.
  static std::unique_ptr<Engine> load(const Checkpoint&, const EngineOptions&);
  ~Engine();

  const ModelConfig& config() const;
  const EngineOptions& options() const;  // as resolved: no zeros, the device in use
  DeviceFacts device() const;
  int64_t max_tokens() const;

  // Computes the KV of a prefix once; its cost is booked in `ledger` (executed, not useful).
  std::shared_ptr<const Prefix> make_prefix(std::span<const TokenId>, const ExpertBudget&,
                                            ComputeLedger* ledger);

  // Continuous batching: pulls requests while there is room, refills slots as sequences finish, and
  // hands over each completion as soon as it is whole. When `stop` becomes true no more is pulled
  // and running requests end as cancelled. A query's result does not depend on its batch
  // companions.
  void run(const RequestSource&, const CompletionSink&, const std::atomic<bool>& stop);

  // The checkpoint's own k.
  ExpertBudget trained_budget() const;

  // Logits of every position of a token sequence, [n, vocab]; for inspection. Without a budget: the
  // trained one.
  std::vector<float> logits(std::span<const TokenId>, const ExpertBudget&);
  std::vector<float> logits(std::span<const TokenId> tokens) {
    return logits(tokens, trained_budget());
  }

  // Row of the embedding matrix, dequantised, to dst [d_model]; the token must exist.
  void embedding(TokenId, float* dst) const;

  // Shown the normed input x [m, d_model] of every feed-forward block that runs; null = nobody.
  void observe_ffn(std::function<void(int32_t layer, const float* x, int64_t m)>);

  // Routers under training, from the next step on; null = none. On the CPU only: throws
  // std::invalid_argument elsewhere. What is explored must outlive its use.
  void explore_routers(RouterExploration*);

  // Cost of what was launched since load, counted at the ops, independent of any ledger.
  ComputeLedger launched() const;

  uint64_t weight_bytes() const;  // memory held by weights
  Parameters parameters() const { return count_parameters(config()); }

  // FLOPs of a query run alone: n prompt tokens, head on `head_rows` of them; the most it can be
  // when tokens choose inside the budget.
  ComputeLedger cost_of(int64_t prompt_tokens, int64_t head_rows, const ExpertBudget&) const;

 private:
  Engine();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace engine
