#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "harness/commands.h"
#include "harness/compare.h"
#include "harness/exit_code.h"
#include "harness/gate.h"
#include "harness/gate_policy.h"
#include "harness/gate_report.h"

namespace harness {

int command_gate(const GateOptions& o) {
  const GatePolicy policy = load_gate_policy(o.policy);
  if (o.print_policy) {
    fmt::print("{}\n", policy.json);
    return kOk;
  }
  if (o.candidate.empty() || o.baseline.empty())
    throw UsageError("gate: want --candidate RUN and --baseline RUN");
  const auto comparison =
      compare_runs(find_compared_run(o.baseline_db.empty() ? o.db : o.baseline_db, o.baseline),
                   find_compared_run(o.db, o.candidate));
  const GateReport report = run_gate(comparison, policy);
  fmt::print("{}", render_gate(report, policy, comparison, o.format));
  if (o.format == Format::json) fmt::print(stderr, "{}\n", report.last_line);
  const char* summary = std::getenv("GITHUB_STEP_SUMMARY");
  if (summary != nullptr && *summary != '\0' &&
      !append_summary(summary, render_gate(report, policy, comparison, Format::markdown)))
    fmt::print(stderr, "GITHUB_STEP_SUMMARY {}: is full, nothing was added\n", summary);
  return report.exit_code;
}

}  // namespace harness
