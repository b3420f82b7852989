// Owns the translation of an Observation and its Score into rows: the one place that decides what
// is logged.
#pragma once

#include <cstdint>
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
  std::string prefix_key;  // of the group's shared prefix; empty = none
};

results::AttemptBundle make_bundle(const AttemptContext&, const tasks::Query&, const Observation&,
                                   const tasks::Task&, const tasks::Score&, int64_t score_us);

results::PrefixRow make_prefix_row(const PrefixRecord&);

results::VerdictRow make_verdict(const tasks::Task&, const tasks::Score&);

}  // namespace harness
