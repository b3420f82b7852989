#include "harness/gate_policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>

#include "harness/compare.h"
#include "tasks/strict_json.h"
#include "tasks/text.h"

namespace harness {
namespace {

using Metric = GateCheck::Metric;
using tasks::StrictObject;

const std::vector<std::string> kMetrics = {"completeness", "mean_k", "useful_flops",
                                           "executed_flops", "accuracy"};
const std::vector<std::string> kSeverities = {"block", "warn", "info"};

// Without the question's text two runs cannot be paired, so `dataset` may not be left out.
constexpr const char* kAlwaysRequired = "dataset";

// Margins: a pooled suite of thousands of questions resolves one percentage point, the 164 problems
// of HumanEval five. Compute is exact as long as model and policy stay what they were.
constexpr std::string_view kBuiltIn = R"({
  "version": 1,
  "require_same": ["task", "prompt", "dataset", "scorer", "tokenizer", "generation"],
  "checks": [
    {"metric": "completeness"},
    {"metric": "mean_k", "when": "same_policy"},
    {"metric": "useful_flops", "when": "same_policy"},
    {"metric": "executed_flops", "severity": "info", "margin": 0.05},
    {"metric": "accuracy", "margin": 0.01, "min_n": 100},
    {"metric": "accuracy", "scope": "humaneval", "margin": 0.05, "min_n": 100, "severity": "warn"},
    {"metric": "accuracy", "scope": "humaneval_plus", "margin": 0.05, "min_n": 100,
     "severity": "warn"},
    {"metric": "accuracy", "scope": "humaneval_instruct", "margin": 0.05, "min_n": 100,
     "severity": "warn"}
  ]
})";

GateCheck read_check(StrictObject& o, size_t index) {
  GateCheck c;
  c.pointer = fmt::format("/checks/{}", index);
  o.text("metric");
  c.metric = o.one_of("metric", kMetrics, Metric::accuracy);
  c.scope = o.text("scope", "all");
  const auto only_for = [&](const char* key, bool applies) {
    if (o.has(key) && !applies)
      o.fail(key, fmt::format("has no meaning for {}", metric_name(c.metric)));
    return applies;
  };
  switch (c.metric) {
    case Metric::accuracy:
      // A limit far below 1 catches a margin that was meant in percentage points.
      if (!o.has("margin"))
        o.fail("margin",
               "is missing: the largest loss of accuracy that passes (0.01 is one "
               "percentage point)");
      c.margin = o.number("margin", 1e-9, 0.25);
      break;
    case Metric::completeness:
      c.margin = o.number("margin", 0.0, 0.0, 1.0);
      break;
    default:
      if (o.has("margin")) c.margin = o.number("margin", 0, 1000);
  }
  const bool statistical = c.metric == Metric::accuracy;
  if (only_for("alpha", statistical)) c.alpha = o.number("alpha", 0.05, 1e-6, 0.4);
  if (only_for("min_n", statistical)) c.min_n = o.integer("min_n", 30, 1, 1'000'000'000);
  c.severity = o.one_of("severity", kSeverities, GateCheck::Severity::block);
  if (only_for("on_inconclusive", c.metric != Metric::completeness))
    c.on_inconclusive =
        o.one_of("on_inconclusive", {"fail", "warn", "pass"}, GateCheck::Inconclusive::fail);
  if (only_for("when", c.metric != Metric::completeness))
    c.when = o.one_of("when", {"always", "same_policy"}, GateCheck::When::always);
  return c;
}

}  // namespace

const char* metric_name(Metric m) { return kMetrics[static_cast<size_t>(m)].c_str(); }
const char* severity_name(GateCheck::Severity s) {
  return kSeverities[static_cast<size_t>(s)].c_str();
}

GatePolicy parse_gate_policy(std::string_view text, const std::string& file) {
  auto root = StrictObject::parse(text, file, {"version", "require_same", "checks"});
  GatePolicy policy;
  policy.name = file;
  root.integer("version", 1, 1, 1);
  if (!root.has("require_same"))
    root.fail("require_same",
              fmt::format("is missing: which of {} must be the same", fmt::join(kFacts, ", ")));
  policy.require_same = root.texts("require_same");
  for (size_t i = 0; i < policy.require_same.size(); ++i) {
    const std::string& fact = policy.require_same[i];
    if (std::find(kFacts.begin(), kFacts.end(), fact) != kFacts.end()) continue;
    const std::string near = tasks::nearest(fact, kFacts);
    root.fail(fmt::format("require_same/{}", i),
              fmt::format("is {}, want one of {}{}", tasks::quote(fact), fmt::join(kFacts, ", "),
                          near.empty() ? "" : fmt::format(" (nearest: {})", near)));
  }
  if (std::find(policy.require_same.begin(), policy.require_same.end(), kAlwaysRequired) ==
      policy.require_same.end())
    root.fail("require_same", "lacks dataset: other questions cannot be compared");

  auto checks = root.objects("checks", {"metric", "scope", "margin", "alpha", "min_n", "severity",
                                        "on_inconclusive", "when"});
  std::set<std::pair<Metric, std::string>> seen;
  for (size_t i = 0; i < checks.size(); ++i) {
    policy.checks.push_back(read_check(checks[i], i));
    const GateCheck& c = policy.checks.back();
    if (!seen.emplace(c.metric, c.scope).second)
      checks[i].fail("", fmt::format("is a second check of {} for {}", metric_name(c.metric),
                                     tasks::quote(c.scope)));
  }
  if (policy.checks.empty()) root.fail("checks", "is empty, so that everything would pass");
  if (!seen.contains({Metric::completeness, "all"})) {
    GateCheck whole;  // a verdict about part of a run is none
    whole.metric = Metric::completeness;
    whole.margin = 0;
    whole.pointer = "(always)";
    policy.checks.insert(policy.checks.begin(), whole);
  }
  std::stable_sort(policy.checks.begin(), policy.checks.end(),
                   [](const auto& a, const auto& b) { return a.metric < b.metric; });
  root.put("checks", checks);
  policy.json = root.dump(2);
  return policy;
}

GatePolicy load_gate_policy(const std::string& path) {
  if (path.empty()) return parse_gate_policy(kBuiltIn, "built-in");
  return parse_gate_policy(tasks::read_config_file(path), path);
}

}  // namespace harness
