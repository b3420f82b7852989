#include "harness/training_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "datasets/sha256.h"
#include "engine/policy/policy_error.h"
#include "harness/exit_code.h"
#include "harness/prompt_tokens.h"
#include "harness/question.h"
#include "harness/stored_shift.h"
#include "results/queries.h"
#include "results/store_error.h"
#include "tasks/shift.h"

namespace harness {
namespace {

struct Seen {
  SweepQuestion question;
  std::optional<tasks::Shift> shift;  // of another question than the sample as it is
  uint64_t shift_seed = 0;
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

// Of one task, by sample and shift: the clean questions, or the shifted ones.
std::map<std::pair<std::string, std::string>, Seen> read_task(const results::ResultStore& store,
                                                              int64_t run_id,
                                                              const results::StoredTask& task,
                                                              bool shifted, const RunSpec& spec) {
  std::map<std::pair<std::string, std::string>, Seen> out;
  results::AttemptFilter filter;
  filter.run_id = run_id;
  filter.task_id = task.task_id;
  filter.with_text = false;
  results::for_each_attempt(store, filter, [&](const results::StoredAttempt& a) {
    if (!a.policy.k_fixed || is_other_question(a.shift.family) != shifted ||
        a.attempt.status == "infra")
      return true;
    const auto k = static_cast<int32_t>(*a.policy.k_fixed);
    Seen& s = out[{a.sample.source_key, question_shift(a)}];
    s.question.task = task.task.name;
    if (shifted) {
      s.shift = stored_shift(a.shift, spec.data, spec.allow_unverified);
      s.shift_seed = a.shift_seed;
      s.question.shift = question_shift(a);
    }
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

// Turns graded questions into rows.
class RowMaker {
 public:
  RowMaker(const LoadedModel& model, const RunSpec& spec, std::vector<int32_t> grid)
      : spec_(spec), model_(model), plan_(make_plan(spec)) {
    rows.examples.grid = std::move(grid);
    for (const auto name : engine::feature_names())
      rows.features.push_back(*engine::find_feature(name));
  }
  void price_lateness(const std::optional<LatencyPenalty>& penalty) {
    latency_ = latency_coefficients(penalty, model_);
    if (penalty) cap_ms_ = penalty->cap_ms;
  }

  void add_task(const results::ResultStore& store, int64_t run_id, const results::StoredTask& t,
                bool shifted) {
    const auto& suite = suite_of(plan_, t);
    std::map<std::string, const datasets::Sample*> samples;
    for (const auto& s : suite.data->samples) samples[s.id] = &s;
    for (auto& [key, seen] : read_task(store, run_id, t, shifted, spec_)) {
      for (const auto& [k, n] : seen.question.graded) graded[k] += n;
      if (!is_whole(seen, rows.examples.grid)) {
        ++rows.left_out;
        continue;
      }
      const auto found = samples.find(key.first);
      if (found == samples.end())
        throw results::FingerprintMismatch(
            fmt::format("{}: the data found here have no sample '{}'", t.task.name, key.first));
      add(suite, *found->second, std::move(seen));
    }
  }

  // The rows so far; later ones begin anew, but keep the numbers of the seed items.
  QuestionRows take() {
    QuestionRows next;
    next.examples.grid = rows.examples.grid;
    next.features = rows.features;
    return std::exchange(rows, std::move(next));
  }

  QuestionRows rows;
  std::map<int32_t, int64_t> graded;  // k -> answers

 private:
  // The sample as the sweep asked it, in its first wording.
  tasks::Query query_of(const PlannedSuite& suite, const datasets::Sample& sample,
                        const Seen& seen) const {
    if (!seen.shift) return suite.task->query(sample, *suite.data, 0);
    const auto made = tasks::apply_shift(*seen.shift, sample, seen.shift_seed);
    if (!made.shifted)
      throw results::FingerprintMismatch(fmt::format(
          "{}:{}: the sweep asked it under {}, which cannot be applied here: {}",
          suite.task->name(), sample.id, tasks::shift_label(*seen.shift), made.why_not));
    return suite.task->query(made.shifted->sample, *suite.data, 0);
  }

  void add(const PlannedSuite& suite, const datasets::Sample& sample, Seen seen) {
    auto& ex = rows.examples;
    const auto query = query_of(suite, sample, seen);
    const auto key = fmt::format("{}:{}", suite.task->name(), sample.id);
    const Question question(key, query, *model_.tokenizer);
    const auto x = engine::question_features(
        rows.features, question.features(0), model_.engine->config().d_model,
        [&](engine::TokenId token, float* row) { model_.engine->embedding(token, row); });
    ex.features.insert(ex.features.end(), x.begin(), x.end());
    ex.n_features = static_cast<int64_t>(x.size());
    const int32_t most = ex.grid.back();
    const double full = seen.flops.at(most) / seen.counted.at(most);
    const auto finite = [](float v) { return std::isfinite(v); };
    if (!(full > 0) || !std::all_of(x.begin(), x.end(), finite))
      throw InfrastructureError(
          fmt::format("{}: its FLOPs at k = {} or its features are no usable numbers", key, most));
    ex.full_flops.push_back(full);
    const auto prompt_tokens =
        latency_
            ? static_cast<int64_t>(
                  tokenise(*model_.tokenizer, query, model_.engine->max_tokens()).prompt.size())
            : 0;
    for (const int32_t k : ex.grid) {
      ex.success.push_back(seen.question.correct.at(k));
      ex.cost.push_back(seen.flops.at(k) / seen.counted.at(k) / full);
      if (latency_)
        ex.lateness.push_back(std::max(
            0.0, latency_->predicted_ms(k, prompt_tokens, question.max_new_tokens) / cap_ms_ - 1));
    }
    ex.cluster.push_back(
        cluster_of_.emplace(sample.id, static_cast<int64_t>(cluster_of_.size())).first->second);
    rows.questions.push_back(std::move(seen.question));
    ++ex.n;
  }

  const RunSpec& spec_;
  const LoadedModel& model_;
  RunPlan plan_;
  std::optional<engine::LatencyCoefficients> latency_;
  double cap_ms_ = 0;
  std::map<std::string, int64_t> cluster_of_;
};

}  // namespace

std::optional<engine::LatencyCoefficients> latency_coefficients(
    const std::optional<LatencyPenalty>& penalty, const LoadedModel& model) {
  if (!penalty) return std::nullopt;
  engine::PolicyContext context;
  context.moe = model.engine->config().moe;
  context.n_layers = model.engine->config().n_layers;
  context.weights_sha256 = model.weights_sha256;
  context.sha256 = [](std::string_view b) { return datasets::sha256_hex(std::string(b)); };
  return engine::LatencyCoefficients::load(penalty->coefficients, context);
}

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
                                const std::optional<LatencyPenalty>& penalty, bool with_shifted) {
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
  const auto grid = grid_of(store, run, model);
  RowMaker maker(model, spec, grid);
  maker.price_lateness(penalty);
  const auto tasks = results::tasks_of_run(store, run.run_id);
  for (const auto& t : tasks) maker.add_task(store, run.run_id, t, false);
  for (const int32_t k : grid)
    if (maker.graded[k] == 0)
      throw InfrastructureError(fmt::format(
          "sweep {} ({}): nothing is graded at k = {} of {}; the same sweep command goes on",
          out.run_uuid, run.status, k, fmt::join(grid, ",")));
  if (maker.rows.examples.n == 0)
    throw InfrastructureError(
        fmt::format("sweep {} ({}): none of its {} questions is graded at "
                    "every k of {}",
                    out.run_uuid, run.status, maker.rows.left_out, fmt::join(grid, ",")));
  static_cast<QuestionRows&>(out) = maker.take();
  if (!with_shifted) return out;
  for (const auto& t : tasks) maker.add_task(store, run.run_id, t, true);
  out.shifted = maker.take();
  if (out.shifted.examples.n == 0)
    throw UsageError(
        fmt::format("--ood: sweep {} has no shifted questions that are graded at every k, {} that "
                    "are not (moeval sweep --shift all, or --tasks TASK,ood)",
                    out.run_uuid, out.shifted.left_out));
  return out;
}

}  // namespace harness
