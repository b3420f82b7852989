// Owns fetching: download with resume, take out of the archive, verify, move into place.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "harness/asset.h"

namespace harness {

// Bytes so far and in all (0 = unknown).
using PullProgress = std::function<void(int64_t now, int64_t total)>;

// Appends to `part` what is missing of the file at `url` (https, http, file). Throws
// InfrastructureError naming the URL and the reason.
void download(const std::string& url, const std::filesystem::path& part, const PullProgress&);

// Writes `member` of a zip archive to `out`. Throws InfrastructureError.
void unzip_member(const std::filesystem::path& archive, const std::string& member,
                  const std::filesystem::path& out);

enum class PullState { absent, present, damaged };
PullState state_of(const Asset&, const std::filesystem::path& cache);

// Fetches one asset into `cache` from the first source that answers; a file already there and right
// is left alone. Throws InfrastructureError: each source with its reason, then what to fetch
// elsewhere and where to put it.
void pull(const Asset&, const std::filesystem::path& cache, const PullProgress&);

}  // namespace harness
