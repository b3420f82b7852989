// Owns the gate: a policy's checks on a comparison, each with a verdict, and the exit code.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/compare.h"
#include "harness/gate_policy.h"

namespace harness {

struct CheckResult {
  // In the order in which they are made; an earlier group's failure decides the exit code, but the
  // later ones still run.
  enum class Group { completeness, comparability, compute, accuracy };
  enum class Verdict { pass, fail, inconclusive, skipped };
  enum class Effect { none, warn, stop };

  std::string name;  // "mmlu.accuracy"
  Group group = Group::completeness;
  GateCheck::Severity severity = GateCheck::Severity::block;
  Verdict verdict = Verdict::pass;
  Effect effect = Effect::none;
  std::string outcome;  // one word: complete, exact, differs, non_inferior, ...
  std::string text;     // the figures, one line
  std::optional<double> baseline, candidate, difference, margin;
  std::optional<tasks::Interval> interval;
  std::optional<double> level;  // of the interval
  int64_t n = 0;
};

struct GateReport {
  std::vector<CheckResult> checks;
  int exit_code = 0;      // 0, 1, 4, 7 or 8 (exit_code.h)
  std::string last_line;  // "gate: FAIL (1 of 14 blocking) mmlu.accuracy ... -> exit 1"
};

// comparison.a is the baseline, b the candidate. Throws UsageError when the policy names a task
// that neither exists nor is in the runs.
GateReport run_gate(const Comparison& comparison, const GatePolicy& policy);

const char* verdict_name(CheckResult::Verdict);

}  // namespace harness
