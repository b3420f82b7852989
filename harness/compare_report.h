// Owns how a comparison is shown: tables for a terminal, Markdown, JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/commands.h"
#include "harness/compare.h"

namespace harness {

// max_flips: listed for each task; how many are left out is said.
std::string render_comparison(const Comparison&, Format, int64_t max_flips);

// For the gate's report too: "-1.42", percentage points.
std::string points(double difference);
std::string points(const tasks::Interval&);  // "[-1.71, -1.13]"

// What the two runs are, what differs between them and what does not.
std::string render_facts(const Comparison&, Format);

}  // namespace harness
