// Owns Observation: one attempt's outcome as the harness saw it, before scoring.
#pragma once

#include <cstdint>
#include <string>

#include "engine/compute_ledger.h"
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
  int64_t scheduled_ns = 0;  // steady clock; when the schedule said the query should start
  engine::Timing timing;
  engine::ExpertBudget budget;
  engine::ComputeLedger ledger;
};

// A prefix computed once for a group of queries.
struct PrefixRecord {
  std::string key;  // sha256 of budget and token ids
  int64_t tokens = 0;
  int64_t users = 0;  // planned attempts of the group
  engine::ComputeLedger ledger;
  int64_t wall_ns = 0;
};

}  // namespace harness
