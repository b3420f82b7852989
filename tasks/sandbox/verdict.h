// Owns how measured facts become a verdict. Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "tasks/sandbox/run_facts.h"
#include "tasks/score.h"

namespace tasks::sandbox {

using Token = std::array<uint8_t, 16>;

// Reads what came through the verdict pipe into facts. Sets facts.reported only for exactly one
// whole message with the right token and a known letter.
void read_report(std::string_view bytes, const Token&, RunFacts& facts);

// A pass needs the checker's report, its exit status 0, at least one call, and CPU time within the
// limit. A fault of the checker or of the set-up is infra, never wrong.
Verdict classify(const RunFacts&, const RunRequest&);

// One printable ASCII line of at most 300 bytes.
std::string describe(const RunFacts&, Verdict);
std::string printable(std::string_view text, size_t max_bytes = 300);

}  // namespace tasks::sandbox
