#include "harness/training_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "datasets/sha256.h"
#include "engine/policy/latency_cap.h"
#include "engine/policy/policy_error.h"
#include "harness/exit_code.h"
#include "harness/prompt_tokens.h"
#include "harness/question.h"
#include "results/queries.h"
#include "results/store_error.h"

namespace harness {
namespace {

struct Seen {
  SweepQuestion question;
  std::map<int32_t, double> flops;  // k -> sum over the attempts that were counted
  std::map<int32_t, int> counted;
};

// At every k, and in as many ways: an interrupted sweep has asked more ways at the first k.
bool is_whole(const Seen& s, const std::vector<int32_t>& grid) {
  const auto at = [](const std::map<int32_t, int>& counts, int32_t k) {
    const auto found = counts.find(k);
    return found == counts.end() ? 0 : found->second;
  };
  const int ways = at(s.question.graded, grid.back());
  return ways > 0 && std::all_of(grid.begin(), grid.end(), [&](int32_t k) {
           return at(s.question.graded, k) == ways && at(s.counted, k) > 0;
         });
}

// Of one task, by sample.
std::map<std::string, Seen> read_task(const results::ResultStore& store, int64_t run_id,
                                      const results::StoredTask& task) {
  std::map<std::string, Seen> out;
  results::AttemptFilter filter;
  filter.run_id = run_id;
  filter.task_id = task.task_id;
  filter.with_text = false;
  results::for_each_attempt(store, filter, [&](const results::StoredAttempt& a) {
    if (!a.policy.k_fixed || is_other_question(a.shift.family) || a.attempt.status == "infra")
      return true;
    const auto k = static_cast<int32_t>(*a.policy.k_fixed);
    Seen& s = out[a.sample.source_key];
    s.question.task = task.task.name;
    s.question.sample = s.question.cluster = a.sample.source_key;
    if (a.verdict && a.verdict->correct) {
      const int n = ++s.question.graded[k];
      double& share = s.question.correct[k];
      share += (static_cast<double>(*a.verdict->correct) - share) / n;
    }
    if (a.attempt.useful) {
      s.flops[k] += static_cast<double>(a.attempt.useful->total());
      ++s.counted[k];
    }
    return true;
  });
  return out;
}

std::vector<int32_t> grid_of(const results::ResultStore& store, const results::RunInfo& run,
                             const LoadedModel& model) {
  std::set<int32_t> ks;
  for (const auto& p : results::policies_of_run(store, run.run_id))
    if (p.k_fixed) ks.insert(static_cast<int32_t>(*p.k_fixed));
  const std::vector<int32_t> grid(ks.begin(), ks.end());
  const int32_t most = model.engine->config().moe.max_k();
  if (!ks.contains(most))
    throw UsageError(
        fmt::format("sweep {} has k = {}: k = {} is needed, all that the model runs, "
                    "to price the others by (moeval sweep --grid ...,{})",
                    run.run.run_uuid, fmt::join(grid, ","), most, most));
  if (grid.size() < 2)
    throw UsageError(fmt::format("sweep {} has k = {} only: there is nothing to decide",
                                 run.run.run_uuid, fmt::join(grid, ",")));
  return grid;
}

const PlannedSuite& suite_of(const RunPlan& plan, const results::StoredTask& t) {
  for (const auto& s : plan.suites) {
    if (s.task->name() != t.task.name) continue;
    if (s.data->sha256 != t.dataset.sha256)
      throw results::FingerprintMismatch(
          fmt::format("data of {}: the sweep's are {}, those found here {}", t.task.name,
                      t.dataset.sha256.substr(0, 12), s.data->sha256.substr(0, 12)));
    if (s.task->config_json() != t.task.config_json)
      throw results::FingerprintMismatch(
          fmt::format("task {}: the sweep's definition is {}, the one found here {}", t.task.name,
                      datasets::sha256_hex(t.task.config_json).substr(0, 12),
                      datasets::sha256_hex(s.task->config_json()).substr(0, 12)));
    return s;
  }
  throw UsageError(fmt::format("task {} of the sweep is not among its --tasks", t.task.name));
}

std::optional<engine::LatencyCoefficients> coefficients_of(
    const std::optional<LatencyPenalty>& penalty, const LoadedModel& model) {
  if (!penalty) return std::nullopt;
  engine::PolicyContext context;
  context.moe = model.engine->config().moe;
  context.n_layers = model.engine->config().n_layers;
  context.weights_sha256 = model.weights_sha256;
  context.sha256 = [](std::string_view b) { return datasets::sha256_hex(std::string(b)); };
  return engine::LatencyCoefficients::load(penalty->coefficients, context);
}

}  // namespace

RunSpec spec_of_sweep(const results::ResultStore& store, const std::string& run_uuid,
                      const std::string& model) {
  const auto run = results::find_run(store, run_uuid);
  if (run.run.kind != "sweep")
    throw UsageError(
        fmt::format("run {} is no sweep (it is a {} run)", run.run.run_uuid, run.run.kind));
  const auto config = nlohmann::json::parse(run.run.config_json);
  RunSpec spec;
  spec.model = model.empty() ? config.at("model").get<std::string>() : model;
  spec.tasks = config.at("tasks").get<std::vector<std::string>>();
  if (config.contains("num_fewshot")) spec.num_fewshot = config.at("num_fewshot").get<int>();
  if (config.contains("max_new_tokens"))
    spec.max_new_tokens = config.at("max_new_tokens").get<int>();
  return spec;
}

TrainingData read_training_data(const results::ResultStore& store, const std::string& run_uuid,
                                const RunSpec& spec, const LoadedModel& model,
                                const std::optional<LatencyPenalty>& penalty) {
  const auto run = results::find_run(store, run_uuid);
  TrainingData out;
  out.run_uuid = run.run.run_uuid;
  out.model = model.label;
  out.weights_sha256 = model.weights_sha256;
  out.status = run.status;
  if (run.model.weights_sha256 != model.weights_sha256)
    throw engine::PolicyMismatch(fmt::format("sweep {}: made with weights {}, {} has {}",
                                             out.run_uuid, run.model.weights_sha256, model.label,
                                             model.weights_sha256));
  auto& ex = out.examples;
  ex.grid = grid_of(store, run, model);
  const auto latency = coefficients_of(penalty, model);
  for (const auto name : engine::feature_names())
    out.features.push_back(*engine::find_feature(name));
  const RunPlan plan = make_plan(spec);

  std::map<std::string, int64_t> cluster_of;
  std::map<int32_t, int64_t> graded;
  for (const auto& t : results::tasks_of_run(store, run.run_id)) {
    const auto& suite = suite_of(plan, t);
    std::map<std::string, const datasets::Sample*> samples;
    for (const auto& s : suite.data->samples) samples[s.id] = &s;
    for (auto& [id, seen] : read_task(store, run.run_id, t)) {
      for (const auto& [k, n] : seen.question.graded) graded[k] += n;
      if (!is_whole(seen, ex.grid)) {
        ++out.left_out;
        continue;
      }
      const auto found = samples.find(id);
      if (found == samples.end())
        throw results::FingerprintMismatch(
            fmt::format("{}: the data found here have no sample '{}'", t.task.name, id));
      const auto query = suite.task->query(*found->second, *suite.data, 0);
      const Question question(fmt::format("{}:{}", t.task.name, id), query, *model.tokenizer);
      const auto x = engine::question_features(
          out.features, question.features(0), model.engine->config().d_model,
          [&](engine::TokenId token, float* row) { model.engine->embedding(token, row); });
      ex.features.insert(ex.features.end(), x.begin(), x.end());
      ex.n_features = static_cast<int64_t>(x.size());
      const int32_t most = ex.grid.back();
      const double full = seen.flops.at(most) / seen.counted.at(most);
      const auto finite = [](float v) { return std::isfinite(v); };
      if (!(full > 0) || !std::all_of(x.begin(), x.end(), finite))
        throw InfrastructureError(
            fmt::format("{}:{}: its FLOPs at k = {} or its features are no usable numbers",
                        t.task.name, id, most));
      ex.full_flops.push_back(full);
      const auto prompt_tokens =
          latency ? static_cast<int64_t>(
                        tokenise(*model.tokenizer, query, model.engine->max_tokens()).prompt.size())
                  : 0;
      for (const int32_t k : ex.grid) {
        ex.success.push_back(seen.question.correct.at(k));
        ex.cost.push_back(seen.flops.at(k) / seen.counted.at(k) / full);
        if (latency)
          ex.lateness.push_back(std::max(
              0.0,
              latency->predicted_ms(k, prompt_tokens, question.max_new_tokens) / penalty->cap_ms -
                  1));
      }
      ex.cluster.push_back(
          cluster_of.emplace(id, static_cast<int64_t>(cluster_of.size())).first->second);
      out.questions.push_back(std::move(seen.question));
      ++ex.n;
    }
  }
  for (const int32_t k : ex.grid)
    if (graded[k] == 0)
      throw InfrastructureError(fmt::format(
          "sweep {} ({}): nothing is graded at k = {} of {}; the same sweep command goes on",
          out.run_uuid, run.status, k, fmt::join(ex.grid, ",")));
  if (ex.n == 0)
    throw InfrastructureError(
        fmt::format("sweep {} ({}): none of its {} questions is graded at "
                    "every k of {}",
                    out.run_uuid, run.status, out.left_out, fmt::join(ex.grid, ",")));
  return out;
}

}  // namespace harness
