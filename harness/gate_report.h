// Owns how a gate's verdicts are shown, and the step summary of a CI service.
#pragma once

#include <string>

#include "harness/commands.h"
#include "harness/compare.h"
#include "harness/gate.h"

namespace harness {

// Table and Markdown end with GateReport::last_line; JSON holds it.
std::string render_gate(const GateReport&, const GatePolicy&, const Comparison&, Format);

// Appends to the file of $GITHUB_STEP_SUMMARY. GitHub drops a summary of more than 1 MiB whole, so
// the text is cut at a line's end to what fits, and says so. Returns why nothing was written, else
// an empty string: a verdict does not change because a file is full.
std::string append_summary(const std::string& path, const std::string& markdown);

}  // namespace harness
