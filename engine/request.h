// Owns Request and Completion: the only types that cross from the engine to the harness.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/compute_ledger.h"
#include "engine/expert_budget.h"
#include "engine/routing_trace.h"
#include "engine/tokenizer.h"

namespace engine {

class Prefix;  // engine/prefix.h: KV of a token prefix, shared by its users

struct Sampling {
  float temperature = 0.0f;  // 0 = greedy
  float top_p = 1.0f;
  uint64_t seed = 0;  // the whole randomness of this request
};

struct Request {
  uint64_t id = 0;                       // the caller's; comes back in the completion
  std::vector<TokenId> tokens;           // the whole prompt
  std::shared_ptr<const Prefix> prefix;  // its tokens must be the first of `tokens`; may be null
  ExpertBudget budget;
  kernels::Cost policy_cost;  // of deciding the budget; booked as Part::predictor

  // Scoring: each continuation (>= 1 token) is scored after the prompt; they share its KV.
  std::vector<std::vector<TokenId>> continuations;

  // Generation, when max_new_tokens > 0: ends at one of `stop_tokens`, when on_token returns false
  // (the token is kept), or at the limit.
  int32_t max_new_tokens = 0;
  std::vector<TokenId> stop_tokens;
  std::function<bool(std::span<const TokenId> generated)> on_token;
  Sampling sampling;

  bool want_logits = false;  // last prompt row's logits come back, [vocab]
};

struct ContinuationScore {
  double logprob = 0;                 // sum over tokens, nats
  std::vector<float> token_logprobs;  // nats
  bool greedy = false;                // every token was the argmax
};

enum class Outcome { ok, too_long, not_finite, cancelled };
enum class FinishReason { none, stop_token, stopped, length };

// Nanoseconds of the steady clock; 0 = did not happen.
struct Timing {
  int64_t admitted_ns = 0;   // put into a batch
  int64_t predicted_ns = 0;  // budget known
  int64_t first_ns = 0;      // first output token, or all scores known
  int64_t last_ns = 0;
  int64_t prefill_ns = 0;      // wall time of steps that processed its prompt
  int64_t decode_ns = 0;       // wall time of steps that generated
  int64_t longest_gap_ns = 0;  // between two output tokens
  double mean_batch_rows = 0;  // rows in its steps, mean
};

struct Completion {
  uint64_t id = 0;
  Outcome outcome = Outcome::ok;
  std::string detail;  // when outcome is not ok: one line
  std::vector<ContinuationScore> scores;
  std::vector<TokenId> tokens;  // generated, stop token excluded
  FinishReason finish = FinishReason::none;
  std::vector<float> logits;  // [vocab] when asked
  int64_t prompt_tokens = 0, prefix_tokens = 0;
  ExpertBudget budget;
  RoutingTrace trace;             // of the whole prompt, prefix included, and of its own output
  double mean_batch_experts = 0;  // different experts of a layer in its steps, mean
  int32_t batch_k_max = 0;        // most experts that a token of its steps ran
  uint64_t weight_bytes = 0;      // different weights that it used, each counted once
  Timing timing;
  ComputeLedger ledger;
};

}  // namespace engine
