// Owns Subject: the thing under test, at text level.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/policy/expert_policy.h"
#include "harness/observation.h"
#include "tasks/query.h"

namespace harness {

// One attempt at a query.
struct Ask {
  const tasks::Query* query = nullptr;
  uint64_t seed = 0;    // the whole randomness of the attempt
  bool pending = true;  // false: already on record; it still shapes the group's shared prefix
  const engine::ExpertPolicy* policy = nullptr;  // null: the model's trained budget
  std::string key;                               // of the query, for tables
};

enum class Scenario {
  offline,  // everything at once: throughput, no percentiles
  single    // closed loop, one query at a time: clean latency
};

using ObservationSink = std::function<void(size_t ask, Observation)>;
using PrefixSink = std::function<void(const PrefixRecord&)>;

class Subject {
 public:
  virtual ~Subject() = default;
  // Answers the pending asks of one group, each exactly once, in any order. All prefixes are told
  // before the first observation. What is shared between
  // them (a prefix) is a function of all asks of the group, so a resumed run shares the same.
  // When `stop` becomes true, unfinished ones come back as cancelled or not at all.
  virtual void answer(std::span<const Ask>, Scenario, const ObservationSink&, const PrefixSink&,
                      const std::atomic<bool>& stop) = 0;
};

}  // namespace harness
