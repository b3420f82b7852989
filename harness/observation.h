// Owns Observation: one attempt's outcome as the harness saw it, before scoring.
#pragma once

#include <cstdint>
#include <string>

#include "engine/compute_ledger.h"
#include "engine/policy/expert_policy.h"
#include "engine/request.h"
#include "tasks/query.h"

namespace harness {

struct Observation {
  tasks::Answer answer;
  std::string detail;           // one line when the answer's status is not ok
  std::string rendered_prompt;  // chat only: what the model's template made of the turns
  engine::FinishReason finish = engine::FinishReason::none;
  int64_t prompt_tokens = 0, prefix_tokens = 0, output_tokens = 0;
  int64_t dropped_demonstrations = 0, dropped_tokens = 0;  // by the truncation rule
  std::string prefix_key;                                  // of the prefix that it used, if any
  int64_t scheduled_ns = 0;  // steady clock; when the schedule said the query should start
  int64_t predict_ns = 0;    // wall time of deciding the budget
  engine::Timing timing;
  engine::Decision decision;
  engine::RoutingTrace trace;
  double batch_experts = 0;  // different experts of a layer in its steps, mean
  int32_t batch_k_max = 0;
  uint64_t weight_bytes = 0;
  engine::ComputeLedger ledger;
};

// A prefix computed once for a group of queries.
struct PrefixRecord {
  std::string key;     // sha256 of budget and token ids
  std::string budget;  // ExpertBudget::key
  int64_t tokens = 0;
  engine::ComputeLedger ledger;
  int64_t wall_ns = 0;
};

}  // namespace harness
