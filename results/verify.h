// Owns the recomputation of every checksum of a store. Internal to results/.
#pragma once

#include <cstdint>

#include "results/result_store.h"
#include "results/sqlite.h"

namespace results {

// Dimensions, texts, and SQLite's own integrity_check and foreign_key_check.
void verify_file(Database&, VerifyReport&);
// Plan, attempts, chain, verdicts, prefixes and session ends of one run.
void verify_run(Database&, int64_t run_id, VerifyReport&);

RunCounts count_run(Database&, int64_t run_id);

}  // namespace results
