#include "harness/compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "datasets/sha256.h"
#include "harness/exit_code.h"
#include "harness/stored_runs.h"
#include "results/result_store.h"

namespace harness {
namespace {

constexpr double kIntervalLevel = 0.95;
constexpr size_t kLongestAnswer = 8;    // longer ones are programs
constexpr size_t kFewestSubjects = 10;  // a bootstrap over fewer is much too narrow

std::unique_ptr<results::ResultStore> open_store(const std::string& db) {
  return results::ResultStore::open(db, results::ResultStore::Mode::read);
}

std::string shift_label(const results::StoredAttempt& a) {
  if (a.shift.severity == 0 && a.shift_seed == 0) return a.shift.name;
  return fmt::format("{}/{} seed {}", a.shift.name, a.shift.severity, a.shift_seed);
}

std::string pair_key(const results::StoredAttempt& a) {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", a.sample.source_key, a.shift.name, a.shift.severity,
                     a.shift.version, a.shift_seed, a.repeat_ix);
}

AttemptFacts facts_of(const results::StoredAttempt& a) {
  AttemptFacts f;
  if (a.attempt.status != "infra" && a.verdict) {
    if (a.verdict->correct) f.correct = *a.verdict->correct == 1;
    f.answer = a.verdict->answer.value_or("");
    if (f.answer.empty() || f.answer.size() > kLongestAnswer) f.answer = a.verdict->outcome;
  }
  f.k = a.attempt.k_requested;
  f.k_mean = a.attempt.k_mean;
  if (a.attempt.useful) f.useful_flops = a.attempt.useful->total();
  if (a.attempt.executed) f.executed_flops = a.attempt.executed->total();
  return f;
}

void for_each(const ComparedRun& run, const results::ResultStore& store, int64_t task_id,
              const std::function<void(const results::StoredAttempt&)>& f) {
  results::AttemptFilter filter;
  filter.run_id = run.info.run_id;
  filter.task_id = task_id;
  filter.policy = run.policy.label;
  filter.with_text = false;
  results::for_each_attempt(store, filter, [&](const results::StoredAttempt& a) {
    f(a);
    return true;
  });
}

template <class T>
MeasuredPair measure(const std::vector<PairedAttempt>& attempts,
                     std::optional<T> AttemptFacts::*field) {
  MeasuredPair m;
  for (const PairedAttempt& p : attempts) {
    const auto &a = p.a.*field, &b = p.b.*field;
    m.n_differ += a != b;
    if (!a || !b) continue;
    ++m.n;
    m.a += static_cast<double>(*a);
    m.b += static_cast<double>(*b);
  }
  if (m.n > 0) {
    m.a /= static_cast<double>(m.n);
    m.b /= static_cast<double>(m.n);
  }
  return m;
}

std::vector<tasks::Group> grouped(const TaskComparison& t, bool by_subject) {
  std::vector<tasks::Group> groups;
  std::unordered_map<std::string, size_t> index;
  for (const PairedQuery& q : t.queries) {
    const std::string& name = by_subject ? q.subject : t.attempts[q.first].sample;
    const auto [at, is_new] = index.emplace(name, groups.size());
    if (is_new) groups.push_back({name, {}});
    groups[at->second].values.push_back(q.b - q.a);
  }
  return groups;
}

void average_repeats(TaskComparison& t, const std::vector<std::string>& subjects) {
  std::unordered_map<std::string, size_t> index;
  for (size_t i = 0; i < t.attempts.size(); ++i) {
    const PairedAttempt& p = t.attempts[i];
    if (!p.a.correct || !p.b.correct) {
      ++t.ungraded;
      continue;
    }
    const auto [at, is_new] = index.emplace(p.sample + "\n" + p.shift, t.queries.size());
    if (is_new) t.queries.push_back({.first = i, .subject = subjects[i]});
    PairedQuery& q = t.queries[at->second];
    q.a += *p.a.correct ? 1 : 0;
    q.b += *p.b.correct ? 1 : 0;
    ++q.repeats;
    t.repeated |= q.repeats > 1;
  }
  for (PairedQuery& q : t.queries) {
    q.a /= static_cast<double>(q.repeats);
    q.b /= static_cast<double>(q.repeats);
  }
}

void judge(TaskComparison& t) {
  std::vector<double> a, b;
  std::set<std::string> samples, subjects;
  for (size_t i = 0; i < t.queries.size(); ++i) {
    const PairedQuery& q = t.queries[i];
    a.push_back(q.a);
    b.push_back(q.b);
    samples.insert(t.attempts[q.first].sample);
    subjects.insert(q.subject);
    if (q.a != q.b) t.flips.push_back(i);
  }
  std::stable_sort(t.flips.begin(), t.flips.end(), [&](size_t x, size_t y) {
    return t.queries[x].b - t.queries[x].a < t.queries[y].b - t.queries[y].a;
  });
  t.score_a = tasks::mean(a);
  t.score_b = tasks::mean(b);
  t.difference = t.difference_at(kIntervalLevel);
  if (subjects.size() >= kFewestSubjects && subjects.size() < samples.size())
    t.by_subject = tasks::bootstrap_difference(grouped(t, true), kIntervalLevel);
  if (!t.repeated && !t.queries.empty() && samples.size() == t.queries.size()) {
    tasks::PairedTable table;
    for (size_t i = 0; i < a.size(); ++i) {
      const bool right_a = a[i] == 1, right_b = b[i] == 1;
      ++(right_a ? (right_b ? table.both_right : table.right_to_wrong)
                 : (right_b ? table.wrong_to_right : table.both_wrong));
    }
    t.table = table;
    t.mcnemar = tasks::mcnemar(table);
  }
  for (const PairedAttempt& p : t.attempts)
    if (p.a.k && p.b.k) ++t.k_transitions[{*p.a.k, *p.b.k}];
  t.k_mean = measure(t.attempts, &AttemptFacts::k_mean);
  t.useful_flops = measure(t.attempts, &AttemptFacts::useful_flops);
  t.executed_flops = measure(t.attempts, &AttemptFacts::executed_flops);
}

TaskComparison compare_task(const ComparedRun& run_a, const results::ResultStore& store_a,
                            const results::StoredTask& task_a, const ComparedRun& run_b,
                            const results::ResultStore& store_b,
                            const results::StoredTask& task_b) {
  TaskComparison t;
  t.task = task_b.task.name;
  t.metric = task_b.task.metric;
  t.chance = task_b.task.chance;
  t.same_data = task_a.dataset.sha256 == task_b.dataset.sha256;
  if (!t.same_data) return t;
  struct Side {
    AttemptFacts facts;
    std::string prompt_sha256;
  };
  std::unordered_map<std::string, Side> unpaired;
  for_each(run_a, store_a, task_a.task_id, [&](const results::StoredAttempt& a) {
    unpaired.emplace(pair_key(a), Side{facts_of(a), a.prompt_sha256});
    ++t.attempts_a;
  });
  std::vector<std::string> subjects;
  for_each(run_b, store_b, task_b.task_id, [&](const results::StoredAttempt& b) {
    ++t.attempts_b;
    const auto partner = unpaired.find(pair_key(b));
    if (partner == unpaired.end()) {
      ++t.only_b;
      return;
    }
    t.prompts_differ += partner->second.prompt_sha256 != b.prompt_sha256;
    t.attempts.push_back({b.sample.source_key, shift_label(b), b.repeat_ix,
                          std::move(partner->second.facts), facts_of(b)});
    subjects.push_back(b.sample.cluster.value_or(b.sample.source_key));
    unpaired.erase(partner);
  });
  t.only_a = static_cast<int64_t>(unpaired.size());
  t.prefix_flops_a =
      results::prefix_flops(store_a, run_a.info.run_id, task_a.task_id, run_a.policy.label).total();
  t.prefix_flops_b =
      results::prefix_flops(store_b, run_b.info.run_id, task_b.task_id, run_b.policy.label).total();
  average_repeats(t, subjects);
  judge(t);
  return t;
}

std::string definition_hash(const results::TaskRow& t) {
  return datasets::sha256_hex(
      fmt::format("{}\n{}\n{}\n{}", t.version, t.n_shot, t.metric, t.config_json));
}

void add_task_facts(std::vector<Fact>& facts, const results::StoredTask& a,
                    const results::StoredTask& b, const TaskComparison& t) {
  const auto add = [&](const char* what, const std::string& x, const std::string& y) {
    facts.push_back({what, t.task, x, y, x == y});
  };
  add("task", definition_hash(a.task), definition_hash(b.task));
  add("prompt", a.task.prompt_sha256, b.task.prompt_sha256);
  if (t.prompts_differ > 0)
    facts.push_back({"prompt", t.task, fmt::format("{} prompts", t.attempts.size()),
                     fmt::format("{} differ", t.prompts_differ), false});
  add("dataset", a.dataset.sha256, b.dataset.sha256);
  add("scorer", a.task.scorer, b.task.scorer);
}

// What of a run's options changes answers and is in no other fact: by name, absent ones left out.
std::string options_of(const results::RunRow& run, const std::vector<const char*>& names) {
  const auto config = nlohmann::json::parse(run.config_json, nullptr, false);
  std::string out;
  if (!config.is_object()) return out;
  for (const char* name : names)
    if (const auto it = config.find(name); it != config.end())
      out += fmt::format("{}{}={}", out.empty() ? "" : " ", name, it->dump());
  return out;
}

std::vector<Fact> run_facts(const ComparedRun& a, const ComparedRun& b) {
  std::vector<Fact> facts;
  const auto add = [&](const char* what, const std::string& x, const std::string& y) {
    facts.push_back({what, "", x, y, x == y});
  };
  const auto tool = [](const results::RunRow& r) {
    return fmt::format("{} {}{}", r.tool_version, r.git_sha.value_or("no commit").substr(0, 12),
                       r.git_dirty.value_or(0) != 0 ? "+changes" : "");
  };
  add("tokenizer", a.info.model.tokenizer_sha256, b.info.model.tokenizer_sha256);
  add("model", a.info.model.weights_sha256, b.info.model.weights_sha256);
  add("policy", a.policy.policy_sha256, b.policy.policy_sha256);
  add("gate_norm", gate_norm_of(a.info.run), gate_norm_of(b.info.run));
  const std::vector<const char*> generation{"temperature", "top_p", "max_new_tokens"};
  add("generation", options_of(a.info.run, generation), options_of(b.info.run, generation));
  add("seed", std::to_string(a.info.run.seed), std::to_string(b.info.run.seed));
  add("instruction_set", a.info.environment.instruction_set.value_or("unknown"),
      b.info.environment.instruction_set.value_or("unknown"));
  add("tool", tool(a.info.run), tool(b.info.run));
  add("scenario", a.info.run.scenario, b.info.run.scenario);
  return facts;
}

double executed(double mean, int64_t prefix_flops, int64_t attempts) {
  if (attempts == 0) return mean;
  return mean + static_cast<double>(prefix_flops) / static_cast<double>(attempts);
}

}  // namespace

ComparedRun find_compared_run(const std::string& db, const std::string& run) {
  const auto store = open_store(db);
  const size_t at = run.find('@');
  const std::string policy = at == std::string::npos ? "" : run.substr(at + 1);
  ComparedRun out;
  out.db = db;
  out.info = results::find_run(*store, find_run(*store, run.substr(0, at)));
  out.tasks = results::tasks_of_run(*store, out.info.run_id);
  std::vector<std::string> labels;
  for (const auto& p : results::policies_of_run(*store, out.info.run_id)) {
    labels.push_back(p.label);
    if (policy.empty() || p.label == policy) out.policy = p;
  }
  const bool found = policy.empty() ? labels.size() == 1 : out.policy.label == policy;
  if (!found)
    throw UsageError(
        fmt::format("run {}: {} (the run's policies: {})", run,
                    policy.empty() ? "has several policies, want RUN@POLICY" : "has no such policy",
                    fmt::join(labels, ", ")));
  for (auto& cell : results::planned_cells(*store, out.info.run_id))
    if (cell.policy == out.policy.label) out.planned.push_back(std::move(cell));
  return out;
}

double TaskComparison::executed_a() const {
  return executed(executed_flops.a, prefix_flops_a, attempts_a);
}
double TaskComparison::executed_b() const {
  return executed(executed_flops.b, prefix_flops_b, attempts_b);
}

std::optional<tasks::PairedDifference> TaskComparison::difference_at(double level) const {
  return tasks::paired_difference(grouped(*this, false), level);
}

int64_t Comparison::n_pairs() const {
  int64_t n = 0;
  for (const TaskComparison& t : tasks) n += static_cast<int64_t>(t.attempts.size());
  return n;
}

Comparison compare_runs(ComparedRun a, ComparedRun b) {
  const auto store_a = open_store(a.db), store_b = open_store(b.db);
  Comparison out;
  out.facts = run_facts(a, b);
  const auto named = [](const ComparedRun& run, const std::string& name) {
    return std::find_if(run.tasks.begin(), run.tasks.end(),
                        [&](const auto& t) { return t.task.name == name; });
  };
  for (const auto& task_a : a.tasks) {
    const auto task_b = named(b, task_a.task.name);
    if (task_b == b.tasks.end()) {
      out.only_a.push_back(task_a.task.name);
      continue;
    }
    out.tasks.push_back(compare_task(a, *store_a, task_a, b, *store_b, *task_b));
    add_task_facts(out.facts, task_a, *task_b, out.tasks.back());
  }
  for (const auto& task_b : b.tasks)
    if (named(a, task_b.task.name) == a.tasks.end()) out.only_b.push_back(task_b.task.name);
  out.a = std::move(a);
  out.b = std::move(b);
  return out;
}

}  // namespace harness
