// Owns how the outcomes of policies on the same questions are shown beside each other.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/train/outcome.h"
#include "harness/text_table.h"

namespace harness {

struct NamedOutcome {
  std::string name;
  const engine::train::Outcome* outcome = nullptr;
};

// The last row is the oracle, whose gain the others' are shares of.
TextTable outcome_table(const std::vector<NamedOutcome>&);
nlohmann::ordered_json outcome_json(const engine::train::Outcome&,
                                    const engine::train::Outcome& oracle);

std::string percent_range(const engine::train::Range&);  // "[12.3, 14.5]"

}  // namespace harness
