// Owns the way back from a stored shift to the one that made it.
#pragma once

#include <string>

#include "results/records.h"
#include "tasks/shift.h"

namespace harness {

// What a shift's row says beyond its name; the row's config_json.
std::string shift_config(const tasks::Shift&);

// row: of a shift proper, not of "clean" or "wording"; data, allow_unverified: where ReCode's files
// are, as for a run. Throws FingerprintMismatch when this program's shifts are others, or the file
// is.
tasks::Shift stored_shift(const results::ShiftRow&, const std::string& data, bool allow_unverified);

}  // namespace harness
