// Owns finding runs in the store by what a person types.
#pragma once

#include <string>

#include "results/result_store.h"

namespace harness {

// uuid of the newest unfinished run of this name (RunSpec::name), or empty.
std::string unfinished_run(results::ResultStore&, const std::string& name);

// The full uuid of "latest", a uuid or its beginning. Throws UsageError: none, or several.
std::string find_run(results::ResultStore&, const std::string& run);

}  // namespace harness
