// Owns the translation of an Observation and its Score into rows: the one place that decides what
// is logged.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "harness/observation.h"
#include "results/records.h"
#include "tasks/query.h"
#include "tasks/score.h"
#include "tasks/task.h"

namespace harness {

struct AttemptContext {
  int64_t ordinal = 0;
  uint64_t seed = 0;
  int64_t session_start_ns = 0;  // steady clock
  bool store_text = true;
  bool router_margins = false;
  std::optional<bool> label_preserved;  // of shifted queries
};

results::AttemptBundle make_bundle(const AttemptContext&, const tasks::Query&, const Observation&,
                                   const tasks::Task&, const tasks::Score&, int64_t score_us);

// policy: index into the plan's policies.
results::PrefixRow make_prefix_row(const PrefixRecord&, int32_t policy);

results::VerdictRow make_verdict(const tasks::Task&, const tasks::Score&);

}  // namespace harness
