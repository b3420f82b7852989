#include "harness/stored_runs.h"
namespace harness {
std::string unfinished_run(results::ResultStore&, const std::string&) { return ""; }
}  // namespace harness
