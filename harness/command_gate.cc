#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <utility>

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
  auto baseline = find_compared_run(o.baseline_db.empty() ? o.db : o.baseline_db, o.baseline);
  auto candidate = find_compared_run(o.db, o.candidate);
  if (baseline.info.run.run_uuid == candidate.info.run.run_uuid &&
      baseline.policy.policy_sha256 == candidate.policy.policy_sha256)
    throw UsageError(fmt::format("gate: candidate {} and baseline {} are the same run, {}",
                                 o.candidate, o.baseline, baseline.info.run.run_uuid));
  const auto comparison = compare_runs(std::move(baseline), std::move(candidate));
  const GateReport report = run_gate(comparison, policy);
  fmt::print("{}", render_gate(report, policy, comparison, o.format));
  if (o.format == Format::json) fmt::print(stderr, "{}\n", report.last_line);
  const char* summary = std::getenv("GITHUB_STEP_SUMMARY");
  if (summary != nullptr && *summary != '\0') {
    const auto problem =
        append_summary(summary, render_gate(report, policy, comparison, Format::markdown));
    if (!problem.empty())
      fmt::print(stderr, "moeval: GITHUB_STEP_SUMMARY {}: {}; nothing was added\n", summary,
                 problem);
  }
  return report.exit_code;
}

}  // namespace harness
