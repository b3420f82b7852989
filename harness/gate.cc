#include "harness/gate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/compare_report.h"
#include "harness/exit_code.h"
#include "harness/text_table.h"
#include "tasks/task.h"
#include "tasks/text.h"

namespace harness {
namespace {

using Effect = CheckResult::Effect;
using CheckGroup = CheckResult::Group;
using Metric = GateCheck::Metric;
using Severity = GateCheck::Severity;
using Verdict = CheckResult::Verdict;

// What a run promised for a task, and how much of it is marked; done, where there is nothing to
// mark: the task has no metric, or the run was asked to generate nothing.
struct Marked {
  int64_t planned = 0, graded = 0;
  bool marked = true;
  int64_t missing() const { return planned - graded; }
};

bool nothing_generated(const ComparedRun& run) {
  const auto config = nlohmann::json::parse(run.info.run.config_json, nullptr, false);
  return config.is_object() && config.value("generate", nlohmann::json(true)) == false;
}

bool is_generated(const std::string& metric) {
  return metric == "pass@1" || metric == "exact_match";
}

Marked progress_of(const ComparedRun& run, const std::string& task) {
  Marked p;
  const bool scored_only = nothing_generated(run);
  p.marked = std::none_of(run.tasks.begin(), run.tasks.end(), [&](const auto& t) {
    return t.task.name == task &&
           (t.task.metric == tasks::kNoMetric || (scored_only && is_generated(t.task.metric)));
  });
  for (const auto& cell : run.planned)
    if (cell.task == task) {
      p.planned += cell.planned;
      p.graded += p.marked ? cell.graded : cell.done;
    }
  return p;
}

std::vector<std::string> all_tasks(const Comparison& c) {
  std::vector<std::string> names;
  for (const auto& t : c.tasks) names.push_back(t.task);
  names.insert(names.end(), c.only_a.begin(), c.only_a.end());
  names.insert(names.end(), c.only_b.begin(), c.only_b.end());
  return names;
}

// The check of a metric that applies to a task: its own, else the one for all.
const GateCheck* check_for(const GatePolicy& policy, Metric metric, const std::string& task) {
  const GateCheck* found = nullptr;
  for (const GateCheck& c : policy.checks) {
    if (c.metric != metric) continue;
    if (c.scope == task) return &c;
    if (c.scope == "all") found = &c;
  }
  return found;
}

void refuse_unknown_scopes(const Comparison& comparison, const GatePolicy& policy) {
  const auto in_runs = all_tasks(comparison);
  auto known = in_runs;
  for (const auto& name : tasks::task_names()) known.push_back(name);
  for (const GateCheck& c : policy.checks) {
    if (c.scope == "all" || std::find(known.begin(), known.end(), c.scope) != known.end()) continue;
    const std::string near = tasks::nearest(c.scope, known);
    throw UsageError(fmt::format("{}: {}/scope: is {}, the runs have {}{}", policy.name, c.pointer,
                                 tasks::quote(c.scope), fmt::join(in_runs, ", "),
                                 near.empty() ? "" : fmt::format(" (nearest: {})", near)));
  }
}

CheckResult begin(const GateCheck& check, const std::string& task, CheckGroup group) {
  CheckResult r;
  r.name = fmt::format("{}.{}", task, metric_name(check.metric));
  r.group = group;
  r.severity = check.severity;
  r.margin = check.margin;
  return r;
}

Effect effect_of(const CheckResult& r, GateCheck::Inconclusive on_inconclusive) {
  const bool blocks = r.severity == Severity::block;
  if (r.severity == Severity::info) return Effect::none;
  if (r.verdict == Verdict::fail) return blocks ? Effect::stop : Effect::warn;
  if (r.verdict != Verdict::inconclusive || on_inconclusive == GateCheck::Inconclusive::pass)
    return Effect::none;
  return blocks && on_inconclusive == GateCheck::Inconclusive::fail ? Effect::stop : Effect::warn;
}

CheckResult completeness(const Comparison& c, const GateCheck& check, const std::string& task) {
  CheckResult r = begin(check, task, CheckGroup::completeness);
  const Marked a = progress_of(c.a, task), b = progress_of(c.b, task);
  const auto missing = [](const Marked& p) {
    return p.planned == 0 ? 0.0 : static_cast<double>(p.missing()) / static_cast<double>(p.planned);
  };
  const bool whole = std::max(missing(a), missing(b)) <= *check.margin;
  r.verdict = whole ? Verdict::pass : Verdict::fail;
  r.outcome = a.missing() + b.missing() == 0 ? "complete" : "incomplete";
  r.n = b.planned;
  r.baseline = 1 - missing(a);
  r.candidate = 1 - missing(b);
  r.text = fmt::format("baseline {} of {}, candidate {} of {} attempts {}", a.graded, a.planned,
                       b.graded, b.planned, b.marked ? "marked" : "done");
  return r;
}

std::vector<CheckResult> comparability(const Comparison& c, const GatePolicy& policy) {
  std::vector<CheckResult> out;
  const auto differs = [&](const std::string& name, const std::string& text) {
    CheckResult r;
    r.name = name;
    r.group = CheckGroup::comparability;
    r.verdict = Verdict::fail;
    r.outcome = "differs";
    r.text = text;
    out.push_back(std::move(r));
  };
  for (const Fact& f : c.facts) {
    if (f.same || std::find(policy.require_same.begin(), policy.require_same.end(), f.what) ==
                      policy.require_same.end())
      continue;
    differs(f.task.empty() ? f.what : fmt::format("{}.{}", f.task, f.what),
            fmt::format("baseline {}, candidate {}", printable(f.a), printable(f.b)));
  }
  for (const auto& task : c.only_a) differs(task, "is only in the baseline");
  for (const TaskComparison& t : c.tasks) {
    // What one side has not done yet has no partner either; that is incompleteness.
    const int64_t absent_b = t.only_a - progress_of(c.b, t.task).missing();
    const int64_t absent_a = t.only_b - progress_of(c.a, t.task).missing();
    if (t.same_data && (absent_a > 0 || absent_b > 0))
      differs(t.task + ".questions",
              fmt::format("{} attempts only in the baseline, {} only in the candidate", t.only_a,
                          t.only_b));
  }
  if (c.tasks.empty() && c.only_a.empty()) differs("tasks", "the runs share none");
  if (out.empty()) {
    CheckResult r;
    r.name = "comparability";
    r.group = CheckGroup::comparability;
    r.outcome = "same";
    r.text = fmt::format("same {}", fmt::join(policy.require_same, ", "));
    out.push_back(std::move(r));
  }
  return out;
}

bool same_policy(const Comparison& c) {
  return std::all_of(c.facts.begin(), c.facts.end(), [](const Fact& f) {
    return f.same || (f.what != "model" && f.what != "policy" && f.what != "gate_norm");
  });
}

// True when the check does not apply; then it is listed as skipped.
bool skip(CheckResult& r, const Comparison& c, const GateCheck& check) {
  if (check.when != GateCheck::When::same_policy || same_policy(c)) return false;
  r.verdict = Verdict::skipped;
  r.outcome = "skipped";
  r.text = "applies to runs of one model and policy";
  return true;
}

CheckResult compute(const Comparison& c, const TaskComparison& t, const GateCheck& check) {
  CheckResult r = begin(check, t.task, CheckGroup::compute);
  if (skip(r, c, check)) return r;
  const MeasuredPair& m = check.metric == Metric::mean_k         ? t.k_mean
                          : check.metric == Metric::useful_flops ? t.useful_flops
                                                                 : t.executed_flops;
  r.n = m.n;
  if (m.n == 0) {
    r.verdict = Verdict::inconclusive;
    r.outcome = "not_measured";
    r.text = "not measured on both sides";
    return r;
  }
  const bool executed = check.metric == Metric::executed_flops;
  const double a = executed ? t.executed_a() : m.a, b = executed ? t.executed_b() : m.b;
  r.baseline = a;
  r.candidate = b;
  r.difference = b - a;
  const bool exact = m.n_differ == 0 && (!executed || t.prefix_flops_a == t.prefix_flops_b);
  const auto shown = [&](double v) {
    return check.metric == Metric::mean_k ? fmt::format("{:.3f}", v) : si(v);
  };
  r.text = fmt::format("{} -> {}", shown(a), shown(b));
  if (a != b && a != 0) r.text += fmt::format(" ({:+.3f}%)", 100 * (b - a) / a);
  if (!exact) r.text += fmt::format(", {} of {} attempts differ", m.n_differ, t.attempts.size());
  if (check.margin) {
    const bool within = b <= a * (1 + *check.margin);
    r.verdict = within ? Verdict::pass : Verdict::fail;
    r.outcome = exact ? "exact" : within ? "within_margin" : "above_margin";
    r.text += fmt::format(", margin +{:.2f}%", 100 * *check.margin);
  } else {
    r.verdict = exact ? Verdict::pass : Verdict::fail;
    r.outcome = exact ? "exact" : "differs";
  }
  return r;
}

CheckResult accuracy(const Comparison& c, const TaskComparison& t, const GateCheck& check) {
  CheckResult r = begin(check, t.task, CheckGroup::accuracy);
  if (skip(r, c, check)) return r;
  r.n = static_cast<int64_t>(t.queries.size());
  r.level = 1 - 2 * check.alpha;
  const auto d = t.difference_at(*r.level);
  if (!d) {
    r.verdict = Verdict::inconclusive;
    r.outcome = "not_measured";
    r.text = "no question is marked on both sides";
    return r;
  }
  r.n = d->n_clusters;  // base questions: forms and repeats of one are not more of them
  r.baseline = *t.score_a;
  r.candidate = *t.score_b;
  r.difference = d->difference;
  r.interval = d->interval;
  const auto outcome = tasks::judge_non_inferiority(d->interval, *check.margin);
  r.outcome = tasks::non_inferiority_name(outcome);
  r.text = fmt::format("{} pp {} margin {:.2f}", points(d->difference), points(d->interval),
                       100 * *check.margin);
  if (r.n < check.min_n) {
    r.verdict = Verdict::inconclusive;
    r.outcome = "too_few";
    r.text += fmt::format(", n {} below {}", r.n, check.min_n);
    return r;
  }
  r.verdict = outcome == tasks::NonInferiority::inferior       ? Verdict::fail
              : outcome == tasks::NonInferiority::inconclusive ? Verdict::inconclusive
                                                               : Verdict::pass;
  const auto n = static_cast<double>(r.n);
  const double psi = d->standard_error * d->standard_error * n + d->difference * d->difference;
  if (r.verdict == Verdict::inconclusive)
    r.text += fmt::format(", n {}, an unchanged system needs about {}", r.n,
                          tasks::questions_needed(std::min(psi, 1.0), *check.margin, check.alpha));
  return r;
}

int exit_code_of(const CheckResult& r) {
  if (r.effect != Effect::stop) return kOk;
  if (r.verdict == Verdict::inconclusive) return kInconclusive;
  switch (r.group) {
    case CheckGroup::completeness:
      return kIncomplete;
    case CheckGroup::comparability:
      return kMismatch;
    default:
      return kGateFailed;
  }
}

void conclude(GateReport& report) {
  // A failure goes before an inconclusive check, an earlier group before a later one.
  constexpr std::pair<int, const char*> kOrder[] = {{kIncomplete, "INCOMPLETE"},
                                                    {kMismatch, "NOT COMPARABLE"},
                                                    {kGateFailed, "FAIL"},
                                                    {kInconclusive, "INCONCLUSIVE"}};
  int64_t blocking = 0, stopping = 0, warnings = 0;
  for (const CheckResult& r : report.checks) {
    blocking += r.severity == Severity::block && r.verdict != Verdict::skipped;
    stopping += r.effect == Effect::stop;
    warnings += r.effect == Effect::warn;
  }
  const std::string aside =
      warnings > 0 ? fmt::format(", {} warning{}", warnings, warnings == 1 ? "" : "s") : "";
  for (const auto& [code, word] : kOrder)
    for (const CheckResult& r : report.checks) {
      if (exit_code_of(r) != code) continue;
      report.exit_code = code;
      report.last_line = fmt::format("gate: {} ({} of {} blocking{}) {} {} -> exit {}", word,
                                     stopping, blocking, aside, r.name, r.text, code);
      return;
    }
  report.exit_code = kOk;
  report.last_line = fmt::format("gate: PASS ({} blocking{}) -> exit 0", blocking, aside);
}

}  // namespace

const char* verdict_name(Verdict v) {
  constexpr const char* kNames[] = {"pass", "fail", "inconclusive", "skipped"};
  return kNames[static_cast<size_t>(v)];
}

GateReport run_gate(const Comparison& comparison, const GatePolicy& policy) {
  refuse_unknown_scopes(comparison, policy);
  GateReport report;
  const auto add = [&](CheckResult r, GateCheck::Inconclusive on_inconclusive) {
    r.effect = effect_of(r, on_inconclusive);
    report.checks.push_back(std::move(r));
  };
  for (const auto& task : all_tasks(comparison))
    if (const GateCheck* check = check_for(policy, Metric::completeness, task))
      add(completeness(comparison, *check, task), check->on_inconclusive);
  for (auto& r : comparability(comparison, policy)) add(std::move(r), {});
  for (const Metric metric :
       {Metric::mean_k, Metric::useful_flops, Metric::executed_flops, Metric::accuracy})
    for (const TaskComparison& t : comparison.tasks)
      if (const GateCheck* check = check_for(policy, metric, t.task);
          check != nullptr && (metric != Metric::accuracy || t.metric != tasks::kNoMetric))
        add(metric == Metric::accuracy ? accuracy(comparison, t, *check)
                                       : compute(comparison, t, *check),
            check->on_inconclusive);
  conclude(report);
  return report;
}

}  // namespace harness
