// Owns the way back from a stored shift to the one that made it.
#pragma once

#include "results/records.h"
#include "tasks/shift.h"

namespace harness {

// What a shift's row says beyond its name; the row's config_json.
std::string shift_config(const tasks::Shift&);

// row: of a shift proper, not of "clean" or "wording". Throws FingerprintMismatch when this
// program's shifts are others.
tasks::Shift stored_shift(const results::ShiftRow&);

}  // namespace harness
