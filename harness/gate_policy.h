// Owns GatePolicy: which differences between two runs stop a release. Read strictly from a JSON
// file; the built-in one is a file of the same kind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace harness {

struct GateCheck {
  enum class Metric { completeness, mean_k, useful_flops, executed_flops, accuracy };
  enum class Severity { block, warn, info };  // fails the gate; is said; is only shown
  enum class Inconclusive { fail, warn, pass };
  enum class When { always, same_policy };  // same_policy: model and expert policy are the same

  Metric metric = Metric::accuracy;
  std::string scope = "all";  // a task, or "all": each task that no other check of the metric names
  // completeness: share of planned attempts that may be missing. accuracy: largest loss that is
  // accepted, a fraction (0.01 is one percentage point). mean_k, *_flops: largest relative
  // increase; none: every query must be the same.
  std::optional<double> margin;
  double alpha = 0.05;  // accuracy, one-sided: the interval is at level 1 - 2 alpha
  int64_t min_n = 0;    // with fewer questions the check is inconclusive
  Severity severity = Severity::block;
  Inconclusive on_inconclusive = Inconclusive::fail;
  When when = When::always;
  std::string pointer;  // "/checks/3"
};

struct GatePolicy {
  std::string name;                       // the file, or "built-in"
  std::vector<std::string> require_same;  // of kFacts (compare.h)
  std::vector<GateCheck> checks;          // with one for completeness, always
  std::string json;                       // the file with every default filled in
};

const char* metric_name(GateCheck::Metric);
const char* severity_name(GateCheck::Severity);

// Throws tasks::TaskError (exit code 2) naming the file, the JSON pointer and the nearest known
// key.
GatePolicy parse_gate_policy(std::string_view text, const std::string& file);
GatePolicy load_gate_policy(const std::string& path);  // empty: the built-in one

}  // namespace harness
