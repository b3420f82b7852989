#include "harness/stored_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "harness/exit_code.h"
#include "results/queries.h"

namespace harness {

std::string unfinished_run(const results::ResultStore& store, const std::string& name) {
  std::string found;
  for (const auto& r : results::runs(store))
    if (r.run.note == name) found = r.status == "complete" ? "" : r.run.run_uuid;
  return found;
}

namespace {

// n of "latest~n", 0 of "latest".
std::optional<size_t> runs_back(std::string_view run) {
  if (run == "latest") return 0;
  constexpr std::string_view kPrefix = "latest~";
  if (!run.starts_with(kPrefix)) return std::nullopt;
  const std::string_view digits = run.substr(kPrefix.size());
  size_t n = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return n;
}

}  // namespace

std::string find_run(const results::ResultStore& store, const std::string& run) {
  const auto all = results::runs(store);
  if (all.empty()) throw UsageError(fmt::format("{} holds no run yet", store.path().string()));
  if (const auto back = runs_back(run)) {
    if (*back < all.size()) return all[all.size() - 1 - *back].run.run_uuid;
    throw UsageError(
        fmt::format("run {}: {} holds {} runs", run, store.path().string(), all.size()));
  }
  std::string found;
  for (const auto& r : all) {
    if (r.run.run_uuid.compare(0, run.size(), run) != 0) continue;
    if (!found.empty()) throw UsageError(fmt::format("run {}: fits several runs", run));
    found = r.run.run_uuid;
  }
  if (found.empty())
    throw UsageError(fmt::format("run {}: no such run in {} (newest: {})", run,
                                 store.path().string(), all.back().run.run_uuid));
  return found;
}

std::string gate_norm_of(const results::RunRow& run) {
  const auto config = nlohmann::json::parse(run.config_json, nullptr, false);
  // Runs of before had no other than the model's own.
  return config.is_object() ? config.value("gate_norm", "model") : "model";
}

std::vector<BoardInput> board_inputs(const results::ResultStore& store,
                                     const std::string& run_uuid) {
  std::vector<BoardInput> out;
  for (const auto& r : results::runs(store)) {
    if (!run_uuid.empty() && r.run.run_uuid != run_uuid) continue;
    const auto tasks = results::tasks_of_run(store, r.run_id);
    for (const auto& c : results::planned_cells(store, r.run_id)) {
      const auto t = std::find_if(tasks.begin(), tasks.end(),
                                  [&](const auto& x) { return x.task_id == c.task_id; });
      BoardInput in;
      in.of_sweep = r.run.kind == "sweep";
      in.run_uuid = r.run.run_uuid;
      in.run_name = r.run.note.value_or(r.run.run_uuid);
      in.started_at = r.started_at;
      in.status = r.status;
      in.model = r.model.name;
      in.n_experts = r.model.n_experts;
      in.policy = c.policy;
      in.gate_norm = gate_norm_of(r.run);
      in.task = t->task.name;
      in.suite = t->task.suite;
      in.metric = t->task.metric;
      in.scenario = r.run.scenario;
      in.data = t->dataset.revision.value_or("unknown");
      in.identity = fmt::format("{} {} {} {}", r.model.weights_sha256, t->dataset.sha256,
                                r.run.seed, c.policy);
      in.n_shot = t->task.n_shot;
      in.chance = t->task.chance;
      in.planned = c.planned;
      results::AttemptFilter filter;
      filter.run_id = r.run_id;
      filter.task_id = t->task_id;
      filter.policy = c.policy;
      filter.with_text = false;
      results::for_each_attempt(store, filter, [&](const results::StoredAttempt& a) {
        in.done += a.attempt.status != "infra";
        if (a.shift.name != "clean") return true;
        BoardInput::Attempt one;
        one.sample = a.sample.source_key;
        one.cluster = a.sample.cluster.value_or(a.sample.source_key);
        if (a.attempt.status != "infra" && a.verdict && a.verdict->correct)
          one.correct = *a.verdict->correct == 1;
        one.latency_us = a.attempt.latency_us;
        one.k_mean = a.attempt.k_mean;
        if (a.attempt.useful) one.useful_flops = a.attempt.useful->total();
        in.failed += a.attempt.status != "ok" && a.attempt.status != "infra";
        in.attempts.push_back(std::move(one));
        return true;
      });
      out.push_back(std::move(in));
    }
  }
  return out;
}

}  // namespace harness
