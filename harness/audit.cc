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
#include "harness/stored_runs.h"
#include "harness/training_facts.h"
#include "results/queries.h"
#include "results/store_error.h"
#include "tasks/task.h"

namespace harness {
namespace {

using Queries = std::vector<const AuditedQuery*>;

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
      q.k = *a.attempt.k_mean;
      q.uniform = a.attempt.k_min && a.attempt.k_min == a.attempt.k_max;
      q.capped = a.attempt.capped.value_or(0) == 1;
      if (a.attempt.k_uncapped) q.k_uncapped = static_cast<double>(*a.attempt.k_uncapped);
      q.complexity = a.attempt.complexity;
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

AuditPart part_of(const std::string& kind, const std::string& name, const Queries& queries,
                  const std::vector<int32_t>& grid, double lambda) {
  const auto a = allocation_report(queries, grid, lambda);
  return {kind, name, a.n, a.mean_k, a.accuracy, a.under, a.over, a.waste};
}

std::vector<AuditPart> parts_of(const Queries& clean, const std::vector<int32_t>& grid,
                                double lambda) {
  std::vector<AuditPart> out;
  std::map<std::string, Queries> subjects;
  for (const auto* q : clean) subjects[q->subject].push_back(q);
  // Where every question is its own subject there is nothing to tell apart.
  if (subjects.size() > 1 && subjects.size() < clean.size())
    for (const auto& [name, members] : subjects)
      out.push_back(part_of("subject", name, members, grid, lambda));
  auto by_length = clean;
  std::stable_sort(by_length.begin(), by_length.end(), [](const auto* a, const auto* b) {
    return a->prompt_tokens < b->prompt_tokens;
  });
  const size_t n = by_length.size();
  if (n < 3 || by_length.front()->prompt_tokens == by_length.back()->prompt_tokens) return out;
  const char* names[] = {"short", "middle", "long"};
  for (size_t third = 0; third < 3; ++third) {
    const Queries members(by_length.begin() + static_cast<std::ptrdiff_t>(third * n / 3),
                          by_length.begin() + static_cast<std::ptrdiff_t>((third + 1) * n / 3));
    out.push_back(
        part_of("length",
                fmt::format("{} ({} to {} tokens)", names[third], members.front()->prompt_tokens,
                            members.back()->prompt_tokens),
                members, grid, lambda));
  }
  return out;
}

WorstQuery worst_of(const AuditedQuery& q, const std::vector<int32_t>& grid) {
  WorstQuery w;
  w.sample = q.sample;
  w.form = q.form;
  w.allocation = classify(q, grid);
  w.k = q.k;
  w.k_stable = *q.need->k_stable(grid);
  w.wasted_flops = std::max(0.0, q.flops - q.need->flops.at(w.k_stable));
  return w;
}

// Each sample once.
void keep_first(Queries& queries, size_t most) {
  std::set<std::string> seen;
  std::erase_if(queries, [&](const auto* q) { return !seen.insert(q->sample).second; });
  if (queries.size() > most) queries.resize(most);
}

// Most missing experts first; most wasted FLOPs first.
void find_worst(const Queries& queries, Reader& reader, const results::StoredTask& task,
                const AuditSettings& s, const std::vector<int32_t>& grid, TaskAudit* out) {
  Queries under, over;
  for (const auto* q : queries) {
    const auto a = classify(*q, grid);
    if (a == Allocation::under || a == Allocation::capped) under.push_back(q);
    if (a == Allocation::over) over.push_back(q);
  }
  const auto missing = [&](const AuditedQuery* q) { return *q->need->k_stable(grid) - q->k; };
  const auto wasted = [&](const AuditedQuery* q) {
    return q->flops - q->need->flops.at(*q->need->k_stable(grid));
  };
  std::stable_sort(under.begin(), under.end(),
                   [&](auto* a, auto* b) { return missing(a) > missing(b); });
  std::stable_sort(over.begin(), over.end(),
                   [&](auto* a, auto* b) { return wasted(a) > wasted(b); });
  const auto keep = static_cast<size_t>(s.max_worst);
  keep_first(under, keep);
  keep_first(over, keep);
  std::set<int64_t> attempts;
  for (const auto* list : {&under, &over})
    for (const auto* q : *list) attempts.insert(q->attempt_id);
  auto texts = attempts.empty() ? std::map<int64_t, std::string>() : reader.texts(task, attempts);
  for (const auto* q : under) {
    out->worst_under.push_back(worst_of(*q, grid));
    out->worst_under.back().text = texts[q->attempt_id];
  }
  for (const auto* q : over) {
    out->worst_over.push_back(worst_of(*q, grid));
    out->worst_over.back().text = texts[q->attempt_id];
  }
}

TaskAudit audit_task(const std::vector<AuditedQuery>& queries, Reader& reader,
                     const results::StoredTask& task, const AuditSettings& s,
                     const std::optional<TrainingFacts>& facts, const std::vector<int32_t>& grid) {
  TaskAudit out;
  out.task = task.task.name;
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
  if (facts) {
    out.target_cost = facts->target_cost;
    for (const auto* q : clean) out.n_seen += facts->seen.contains(question_mark(q->sample));
  }
  out.clean = allocation_report(clean, grid, s.lambda);
  out.prediction = prediction_report(clean, grid);
  out.parts = parts_of(clean, grid, s.lambda);
  out.drifts = drift_reports(all, grid, s.lambda);
  out.robust = robust_reports(all);
  for (const auto& [form, members] : shifted)
    out.shifted.emplace_back(form, allocation_report(members, grid, s.lambda));
  find_worst(known, reader, task, s, grid, &out);
  return out;
}

// Before any work: a sweep that ends below what was granted does not know what it bought.
void check_grid(
    const std::vector<std::pair<const results::StoredTask*, std::vector<AuditedQuery>>>& tasks,
    const Sweep& sweep) {
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
                         const results::StoredTask& task) {
  std::vector<GivenPrompt> prompts;
  for_each_query(store, run, task, false, [&](const results::StoredAttempt& a) {
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
    prompts.push_back(std::move(p));
  });
  return prompt_audit(task.task.name, prompts);
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
  std::vector<std::pair<const results::StoredTask*, std::vector<AuditedQuery>>> tasks;
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
  for (const auto& [task, queries] : tasks)
    out.tasks.push_back(audit_task(queries, reader, *task, s, facts, sweep.grid));
  std::vector<DriftReport*> drifts;
  for (auto& t : out.tasks)
    for (auto& d : t.drifts) drifts.push_back(&d);
  adjust(drifts);
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
  bool any_marked = false;
  for (const auto& t : run.tasks) {
    any_marked |= is_marked(t);
    if (!is_marked(t)) out.prompts.push_back(read_prompts(*store, run, t));
  }
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
