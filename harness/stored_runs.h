// Owns finding runs in the store by what a person types, and reading them back for tables.
#pragma once

#include <string>
#include <vector>

#include "harness/leaderboard.h"
#include "results/result_store.h"

namespace harness {

// uuid of the newest run of this name (RunSpec::name) if it is unfinished, else empty.
std::string unfinished_run(const results::ResultStore&, const std::string& name);

// The full uuid of "latest", "latest~2" (two before it), a uuid or its beginning. Throws
// UsageError: none, or several.
std::string find_run(const results::ResultStore&, const std::string& run);

// Weights of the chosen experts when k is not the trained one (engine/expert_router.h), as the run
// had it.
std::string gate_norm_of(const results::RunRow& run);

// One input per run, policy and task; of one run, or of all when run_uuid is empty.
std::vector<BoardInput> board_inputs(const results::ResultStore&, const std::string& run_uuid);

}  // namespace harness
