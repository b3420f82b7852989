#include "harness/audit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/audit_inputs.h"
#include "harness/exit_code.h"
#include "harness/refusal_filter.h"
#include "harness/stored_runs.h"
#include "harness/training_facts.h"
#include "results/queries.h"
#include "results/store_error.h"
#include "tasks/task.h"

namespace harness {
namespace {

using Queries = std::vector<const AuditedQuery*>;
using TasksOfRun = std::vector<std::pair<const results::StoredTask*, std::vector<AuditedQuery>>>;

constexpr size_t kLongestText = 160;  // bytes of a listed query

std::string form_of(const results::StoredAttempt& a) {
  if (a.shift.family == "clean") return "clean";
  const auto shift = question_shift(a);
  return shift != "clean" ? shift : fmt::format("{}:{}", a.shift.name, a.shift.severity);
}

// Pairs of a list as the store keeps them, [[k, p], ...].
std::map<int32_t, double> predicted(const std::optional<std::string>& text) {
  std::map<int32_t, double> out;
  if (!text) return out;
  for (const auto& pair : nlohmann::json::parse(*text))
    out[pair.at(0).get<int32_t>()] = pair.at(1).get<double>();
  return out;
}

// The question stands at the end of a prompt, demonstrations come before. Cut between characters.
std::string tail_of(const std::string& prompt) {
  if (prompt.size() <= kLongestText) return prompt;
  size_t at = prompt.size() - kLongestText;
  while (at < prompt.size() && (static_cast<unsigned char>(prompt[at]) & 0xC0) == 0x80) ++at;
  return "..." + prompt.substr(at);
}

void for_each_query(const results::ResultStore& store, const ComparedRun& run,
                    const results::StoredTask& task, bool with_text,
                    const std::function<void(const results::StoredAttempt&)>& f) {
  results::AttemptFilter filter;
  filter.run_id = run.info.run_id;
  filter.task_id = task.task_id;
  filter.policy = run.policy.label;
  filter.with_text = with_text;
  results::for_each_attempt(store, filter, [&](const results::StoredAttempt& a) {
    // Repeats were granted the same; wordings belong to sweeps.
    if (a.repeat_ix == 0 && a.shift.family != "wording") f(a);
    return true;
  });
}

class Reader {
 public:
  Reader(const results::ResultStore& store, const ComparedRun& run, const Sweep& sweep,
         Audit* audit)
      : store_(store), run_(run), grid_(sweep.grid), audit_(*audit) {
    for (const auto& q : sweep.questions) needs_[{q.task, q.sample, q.shift}] = &q;
  }

  std::vector<AuditedQuery> read(const results::StoredTask& task) {
    std::vector<AuditedQuery> out;
    for_each_query(store_, run_, task, false, [&](const results::StoredAttempt& a) {
      if (a.attempt.status == "infra") return;
      AuditedQuery q;
      q.task = task.task.name;
      q.sample = a.sample.source_key;
      q.subject = a.sample.cluster.value_or(a.sample.source_key);
      q.form = form_of(a);
      q.attempt_id = a.attempt_id;
      if (a.attempt.status != "ok") {
        ++audit_.failed;
        q.failed = true;
        out.push_back(std::move(q));
        return;
      }
      ++audit_.answered;
      if (!a.verdict || !a.verdict->correct) {
        ++audit_.ungraded;
        return;
      }
      if (!a.attempt.k_mean || !a.attempt.useful) {
        ++audit_.unmeasured;
        return;
      }
      q.right = *a.verdict->correct == 1;
      q.gold_nll = a.verdict->gold_nll_nats;
      q.k = *a.attempt.k_mean;
      q.uniform = a.attempt.k_min && a.attempt.k_min == a.attempt.k_max;
      q.capped = a.attempt.capped.value_or(0) == 1;
      if (a.attempt.k_uncapped) q.k_uncapped = static_cast<double>(*a.attempt.k_uncapped);
      q.complexity = a.attempt.complexity;
      q.ood_score = a.attempt.ood_score;
      q.ood_flagged = a.attempt.ood_flagged.value_or(0) == 1;
      if (a.attempt.k_without_fallback)
        q.k_without_fallback = static_cast<double>(*a.attempt.k_without_fallback);
      q.flops = static_cast<double>(a.attempt.useful->total());
      q.p_k = predicted(a.attempt.p_k_json);
      q.prompt_tokens = a.attempt.prompt_tokens.value_or(0);
      if (const auto found = needs_.find({q.task, q.sample, question_shift(a)});
          found != needs_.end() && known(*found->second))
        q.need = found->second;
      audit_.not_swept += q.need == nullptr;
      out.push_back(std::move(q));
    });
    return out;
  }

  // Prompts of some attempts of a task.
  std::map<int64_t, std::string> texts(const results::StoredTask& task,
                                       const std::set<int64_t>& attempts) {
    std::map<int64_t, std::string> out;
    for_each_query(store_, run_, task, true, [&](const results::StoredAttempt& a) {
      if (!attempts.contains(a.attempt_id) || !a.prompt) return;
      out[a.attempt_id] = tail_of(*a.prompt);
    });
    return out;
  }

 private:
  // At every k of the grid, FLOPs included.
  bool known(const SweepQuestion& q) const {
    return q.need(grid_) &&
           std::all_of(grid_.begin(), grid_.end(), [&](int32_t k) { return q.flops.contains(k); });
  }

  const results::ResultStore& store_;
  const ComparedRun& run_;
  const std::vector<int32_t>& grid_;
  Audit& audit_;
  std::map<std::tuple<std::string, std::string, std::string>, const SweepQuestion*> needs_;
};

// What attempts of a run ran, of those that have a twin to be held beside.
struct RoutedExperts {
  int64_t n_shared = 0;  // always on; they come first
  ExpertCountsOf counts;
};

RoutedExperts read_experts(const results::ResultStore& store, const ComparedRun& run,
                           const TasksOfRun& tasks) {
  RoutedExperts out;
  const auto config = nlohmann::json::parse(run.info.model.config_json);
  out.n_shared = config.value("n_shared", int64_t{0});
  std::set<int64_t> wanted;
  for (const auto& [task, queries] : tasks) {
    std::set<std::string> shifted;
    for (const auto& q : queries)
      if (q.form != "clean") shifted.insert(q.sample);
    for (const auto& q : queries)
      if (shifted.contains(q.sample)) wanted.insert(q.attempt_id);
  }
  if (wanted.empty()) return out;
  results::for_each_expert_counts(store, run.info.run_id, [&](int64_t id, const auto& counts) {
    if (wanted.contains(id)) out.counts.emplace(id, counts);
  });
  return out;
}

TaskAudit audit_task(const std::vector<AuditedQuery>& queries, Reader& reader,
                     const results::StoredTask& task, const AuditSettings& s,
                     const std::optional<TrainingFacts>& facts, const std::vector<int32_t>& grid,
                     const datasets::OutsideLabels* labels, const RoutedExperts& experts) {
  TaskAudit out;
  out.task = task.task.name;
  out.data_shift = tasks::data_shift_of(task.task.config_json);
  out.chance = task.task.chance;
  Queries all, known, clean;
  std::map<std::string, Queries> shifted;
  for (const auto& q : queries) {
    all.push_back(&q);
    if (q.need == nullptr) continue;
    known.push_back(&q);
    (q.form == "clean" ? clean : shifted[q.form]).push_back(&q);
  }
  for (const auto* q : clean) out.n_capped += q->capped;
  Queries seen, unseen;
  if (facts) {
    out.target_cost = facts->target_cost;
    for (const auto* q : clean)
      (facts->seen.contains(question_mark(q->sample)) ? seen : unseen).push_back(q);
    out.n_seen = static_cast<int64_t>(seen.size());
  }
  if (!seen.empty() && !unseen.empty()) {
    out.regret_seen = allocation_report(seen, grid, s.lambda).lambda_regret;
    out.regret_unseen = allocation_report(unseen, grid, s.lambda).lambda_regret;
  }
  out.clean = allocation_report(clean, grid, s.lambda);
  out.prediction = prediction_report(clean, grid);
  out.parts = audit_parts(clean, grid, s.lambda, labels);
  if (labels != nullptr) out.outside = outside_report(clean, grid, *labels);
  const auto twins = twins_by_form(all);
  out.drifts = drift_reports(twins, grid, s.lambda);
  out.graded = graded_report(clean, grid);
  out.graded_drifts = graded_drifts(twins, grid);
  out.expert_drifts = expert_drifts(twins, experts.counts, experts.n_shared);
  out.robust = robust_reports(all);
  for (const auto& [form, members] : shifted)
    out.shifted.emplace_back(form, allocation_report(members, grid, s.lambda));
  out.fallback = fallback_effects(all, grid, s.lambda);
  auto worst = worst_queries(known, grid, static_cast<size_t>(s.max_worst));
  std::set<int64_t> attempts;
  for (const auto* list : {&worst.under, &worst.over})
    for (const auto& w : *list) attempts.insert(w.attempt_id);
  if (!attempts.empty()) {
    const auto texts = reader.texts(task, attempts);
    for (auto* list : {&worst.under, &worst.over})
      for (auto& w : *list)
        if (const auto found = texts.find(w.attempt_id); found != texts.end())
          w.text = found->second;
  }
  out.worst_under = std::move(worst.under);
  out.worst_over = std::move(worst.over);
  return out;
}

// Before any work: a sweep that ends below what was granted does not know what it bought.
void check_grid(const TasksOfRun& tasks, const Sweep& sweep) {
  double largest = 0;
  for (const auto& [task, queries] : tasks)
    for (const auto& q : queries) largest = std::max(largest, q.k);
  if (largest > sweep.grid.back())
    throw UsageError(
        fmt::format("sweep {} ends at k = {}, the run used {:.4g}: sweep with --grid "
                    "up to that",
                    sweep.run_uuid, sweep.grid.back(), largest));
}

bool is_marked(const results::StoredTask& t) { return t.task.metric != tasks::kNoMetric; }

// Prompts as they are, of a task without right answers.
PromptAudit read_prompts(const results::ResultStore& store, const ComparedRun& run,
                         const results::StoredTask& task, const RefusalFilter* filter) {
  std::vector<GivenPrompt> prompts;
  int64_t without_text = 0;
  for_each_query(store, run, task, filter != nullptr, [&](const results::StoredAttempt& a) {
    if (a.shift.family != "clean" || a.attempt.status == "infra") return;
    GivenPrompt p;
    p.sample = a.sample.source_key;
    p.kind = a.sample.cluster.value_or("");
    p.failed = a.attempt.status != "ok" || !a.attempt.k_mean || !a.attempt.useful;
    if (!p.failed) {
      p.k = *a.attempt.k_mean;
      p.flops = static_cast<double>(a.attempt.useful->total());
      p.tokens = a.attempt.prompt_tokens.value_or(0);
    }
    if (filter != nullptr) {
      without_text += !a.prompt;
      p.refused = a.prompt && filter->refuses(*a.prompt);
    }
    prompts.push_back(std::move(p));
  });
  auto out = prompt_audit(task.task.name, prompts);
  if (filter != nullptr) add_filter(prompts, filter->name(), without_text, &out);
  return out;
}

void audit_swept(const AuditSettings& s, const results::ResultStore& store, const ComparedRun& run,
                 const std::optional<TrainingFacts>& facts, Audit* audit) {
  Audit& out = *audit;
  const auto sweep_uuid = s.sweep.empty() ? best_sweep(store, run) : find_run(store, s.sweep);
  const auto sweep = read_sweep(store, sweep_uuid);
  const auto sweep_info = results::find_run(store, sweep_uuid);
  check_comparable(run, sweep_info);
  out.sweep_uuid = sweep.run_uuid;
  out.grid = sweep.grid;
  if (sweep.grid.size() < 2)
    throw UsageError(fmt::format("sweep {} has k = {} only: what a question needs is not known",
                                 sweep.run_uuid, fmt::join(sweep.grid, ",")));
  std::set<int64_t> swept;
  std::map<std::string, int64_t> swept_names;
  for (const auto& t : results::tasks_of_run(store, sweep_info.run_id)) {
    swept.insert(t.task_id);
    swept_names[t.task.name] = t.task.n_shot;
  }
  Reader reader(store, run, sweep, &out);
  TasksOfRun tasks;
  for (const auto& t : run.tasks) {
    if (!is_marked(t)) continue;
    if (swept.contains(t.task_id))
      tasks.emplace_back(&t, reader.read(t));
    else if (const auto found = swept_names.find(t.task.name); found != swept_names.end())
      throw results::FingerprintMismatch(
          fmt::format("task {}: the run and the sweep differ in data, prompt or shots ({} and {})",
                      t.task.name, t.task.n_shot, found->second));
    else
      out.tasks_not_swept.push_back(t.task.name);
  }
  check_grid(tasks, sweep);
  if (out.answered - out.ungraded - out.unmeasured == out.not_swept)
    throw results::FingerprintMismatch(fmt::format(
        "run {} and sweep {}: no question of the run was graded at every k of the sweep",
        out.run_uuid, sweep.run_uuid));
  std::optional<datasets::OutsideLabels> labels;
  const bool is_mmlu = std::any_of(tasks.begin(), tasks.end(), [](const auto& t) {
    return std::any_of(t.second.begin(), t.second.end(),
                       [](const AuditedQuery& q) { return q.sample.starts_with("mmlu/"); });
  });
  const auto experts = read_experts(store, run, tasks);
  if (is_mmlu) labels = datasets::load_outside_labels(s.data, s.allow_unverified);
  for (const auto& [task, queries] : tasks)
    out.tasks.push_back(audit_task(queries, reader, *task, s, facts, sweep.grid,
                                   labels ? &*labels : nullptr, experts));
  std::vector<DriftReport*> drifts;
  std::vector<GradedDrift*> graded;
  for (auto& t : out.tasks) {
    for (auto& d : t.drifts) drifts.push_back(&d);
    for (auto& d : t.graded_drifts) graded.push_back(&d);
  }
  adjust(drifts);
  adjust(graded);
}

}  // namespace

Audit audit(const AuditSettings& s) {
  const auto store = results::ResultStore::open(s.db, results::ResultStore::Mode::read);
  const auto run = find_compared_run(s.db, s.run.empty() ? newest_policy_run(*store) : s.run);
  Audit out;
  out.run_uuid = run.info.run.run_uuid;
  out.run_name = run.info.run.note.value_or(out.run_uuid);
  out.model = run.info.model.name;
  out.policy = run.policy.label;
  out.learned = run.policy.kind == "predictor" || run.policy.kind == "table";
  const auto facts = training_facts(run.policy.config_json);
  out.facts_known = facts.has_value();
  if (facts) {
    out.target_cost = facts->target_cost;
    out.n_learned = static_cast<int64_t>(facts->seen.size());
  }
  out.lambda = s.lambda;
  std::optional<RefusalFilter> filter;
  if (!s.refusal_filter.empty()) filter = RefusalFilter::read(s.refusal_filter);
  bool any_marked = false;
  for (const auto& t : run.tasks) {
    any_marked |= is_marked(t);
    if (!is_marked(t))
      out.prompts.push_back(read_prompts(*store, run, t, filter ? &*filter : nullptr));
  }
  if (filter && out.prompts.empty())
    throw UsageError(
        fmt::format("--refusal-filter: run {} holds no prompts without right answers "
                    "(xstest, harmbench)",
                    out.run_uuid));
  if (!any_marked) return out;
  try {
    audit_swept(s, *store, run, facts, &out);
  } catch (const NoSweep& e) {
    if (out.prompts.empty()) throw;
    out.why_not_swept = e.what();
  }
  return out;
}

}  // namespace harness
