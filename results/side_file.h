// Owns the side file: results that the database did not take, one JSON line each, synced to disk.
// Internal to results/.
#pragma once

#include <filesystem>
#include <string>

#include "results/records.h"

namespace results {

// Appends and syncs one line. False when that failed too.
bool append_to_side_file(const std::filesystem::path&, const std::string& run_uuid,
                         const AttemptBundle&);

}  // namespace results
