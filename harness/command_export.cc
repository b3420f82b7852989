#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/leaderboard.h"
#include "harness/stored_runs.h"
#include "results/lm_eval_export.h"
#include "results/queries.h"
#include "results/result_store.h"
#include "tasks/metrics.h"
#include "tasks/task.h"

namespace harness {
namespace {

using nlohmann::json;

// Local time as lm-eval writes it into file names.
std::string file_time() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::tm tm{};
  localtime_r(&now.tv_sec, &tm);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
  return fmt::format("{}.{:06d}", text, now.tv_nsec / 1000);
}

// "mmlu/virology/test/12" -> 12, "HumanEval/7" -> 7
int64_t doc_id_of(const std::string& source_key) {
  const auto slash = source_key.rfind('/');
  try {
    return std::stoll(source_key.substr(slash == std::string::npos ? 0 : slash + 1));
  } catch (const std::exception&) {
    return 0;
  }
}

// One file of lm-eval: an MMLU subject, or a whole task.
struct ExportedTask {
  results::LmEvalTask task;
  std::vector<double> values;
  std::map<std::string, size_t> sample_at;  // source key -> index, to gather repeats
};

void add_attempt(const results::StoredAttempt& a, const std::string& metric,
                 const std::string& filter, ExportedTask* part) {
  const auto [at, fresh] = part->sample_at.emplace(a.sample.source_key, part->task.samples.size());
  if (fresh) {
    results::LmEvalSample s;
    s.doc_id = doc_id_of(a.sample.source_key);
    s.doc_json = json{{"id", a.sample.source_key}, {"gold", a.sample.gold.value_or("")}}.dump();
    s.target = a.sample.gold.value_or("");
    s.filter = filter;
    if (a.attempt.k_mean) s.experts = *a.attempt.k_mean;
    if (a.attempt.useful) s.useful_flops = a.attempt.useful->total();
    if (a.attempt.executed) s.executed_flops = a.attempt.executed->total();
    if (a.attempt.latency_us) s.latency_ms = static_cast<double>(*a.attempt.latency_us) * 1e-3;
    if (a.options.empty()) {
      results::LmEvalRequest r;
      r.context = a.prompt.value_or("");
      r.gen_kwargs_json = "{}";
      s.requests.push_back(std::move(r));
    }
    for (size_t i = 0; i < a.options.size(); ++i) {
      results::LmEvalRequest r;
      r.context = a.prompt.value_or("");
      r.continuation = a.options[i].text.value_or("");
      r.logprob_nats = a.options[i].logprob_nats;
      s.requests.push_back(std::move(r));
    }
    part->task.samples.push_back(std::move(s));
    part->values.push_back(0);
  }
  auto& sample = part->task.samples[at->second];
  if (a.options.empty()) {
    sample.requests[0].generations.push_back(a.output_text.value_or(""));
    sample.filtered.push_back(a.verdict && a.verdict->answer ? *a.verdict->answer : "");
  }
  // A query without a grade counts as not right, as in the score of a failed one.
  const double value = a.verdict && a.verdict->correct.value_or(0) == 1 ? 1.0 : 0.0;
  auto& total = part->values[at->second];
  const auto n = static_cast<double>(std::max<size_t>(sample.requests[0].generations.size(), 1));
  total += (value - total) / n;
  sample.metrics = {{metric, total}};
}

// Text as a CSV field (RFC 4180).
std::string csv_field(const std::string& s) {
  if (s.find_first_of(",\"\n\r") == std::string::npos) return s;
  std::string out = "\"";
  for (const char c : s) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

void export_expert_load(const results::ResultStore& store, const results::RunInfo& run,
                        const std::string& output) {
  const auto load = results::expert_load(store, run.run_id);
  if (load.empty())
    throw UsageError(
        fmt::format("run {} has no counts per expert: its model is dense", run.run.run_uuid));
  std::string csv = "policy,task,layer,expert,tokens\n";
  for (const auto& l : load)
    csv += fmt::format("{},{},{},{},{}\n", csv_field(l.policy), csv_field(l.task), l.layer,
                       l.expert, l.tokens);
  if (output == "-") {
    fmt::print("{}", csv);
    return;
  }
  std::filesystem::path path = output;
  if (std::filesystem::is_directory(path) || path.extension().empty()) {
    std::filesystem::create_directories(path);
    path /= "expert_load.csv";
  }
  std::ofstream out(path, std::ios::binary);
  out << csv;
  out.close();
  if (!out) throw InfrastructureError(fmt::format("{}: could not be written", path.string()));
  fmt::print("{}\n", path.string());
}

}  // namespace

int command_export(const ExportOptions& o) {
  const auto store = results::ResultStore::open(o.db, results::ResultStore::Mode::read);
  const auto run = results::find_run(*store, find_run(*store, o.run));
  if (o.format == "expert-load") {
    export_expert_load(*store, run, o.output);
    return run.status == "complete" ? kOk : kIncomplete;
  }
  if (run.run.kind == "sweep")
    throw UsageError(fmt::format(
        "run {} is a sweep: lm-eval's files hold one policy and one wording", run.run.run_uuid));
  results::LmEvalReport report;
  report.model_name = run.model.name;
  const auto config = json::parse(run.run.config_json);
  report.model_args = fmt::format("model={},policy={}", config.value("model", run.model.name),
                                  config.value("policy", "trained"));
  report.model_num_parameters = run.model.params_total;
  report.model_dtype = run.model.dtype;
  report.model_sha = run.model.weights_sha256;
  report.batch_size = std::to_string(run.run.concurrency.value_or(1));
  report.seed = run.run.seed;
  report.git_hash = run.run.git_sha.value_or("");
  report.tool_version = run.run.tool_version;
  report.time = file_time();
  report.date = static_cast<double>(std::time(nullptr));
  report.environment =
      fmt::format("{}\n{}\n{}", run.environment.os.value_or(""),
                  run.environment.kernel.value_or(""), run.environment.cpu_model.value_or(""));
  report.moeval_json = json{
      {"run", run.run.run_uuid},
      {"status", run.status},
      {"scenario", run.run.scenario},
      {"config", config}}.dump();

  for (const auto& t : results::tasks_of_run(*store, run.run_id)) {
    if (t.task.metric == tasks::kNoMetric) {
      fmt::print(stderr, "note: {} marks nothing and is left out\n", t.task.name);
      continue;
    }
    // Of these, ids count within a subject.
    constexpr std::array kBySubject = {"mmlu", "cmmlu", "mmlu_redux", "bbh"};
    const bool by_subject =
        std::find(kBySubject.begin(), kBySubject.end(), t.task.suite) != kBySubject.end();
    const std::string filter = t.task.metric == "pass@1" ? "create_test" : "none";
    std::map<std::string, ExportedTask> parts;
    results::AttemptFilter select;
    select.run_id = run.run_id;
    select.task_id = t.task_id;
    results::for_each_attempt(*store, select, [&](const results::StoredAttempt& a) {
      if (a.shift.name != "clean") return true;  // lm-eval knows one form of a question
      const auto name =
          by_subject ? t.task.name + "_" + a.sample.cluster.value_or("unknown") : t.task.name;
      add_attempt(a, t.task.metric, filter, &parts[name]);
      return true;
    });
    results::LmEvalGroup group;
    std::vector<tasks::Group> groups;
    for (auto& [name, part] : parts) {
      part.task.name = name;
      part.task.version = std::to_string(t.task.version);
      part.task.n_shot = t.task.n_shot;
      part.task.n_original = static_cast<int64_t>(part.values.size());
      part.task.n_effective = part.task.n_original;
      part.task.config_json = t.task.config_json;
      results::LmEvalMetric m;
      m.name = t.task.metric;
      m.filter = filter;
      m.value = tasks::mean(part.values).value_or(0);
      m.standard_error = tasks::standard_error(part.values);
      part.task.metrics.push_back(m);
      part.task.moeval_json = json{
          {"chance", t.task.chance ? json(*t.task.chance) : json()},
          {"data", t.dataset.revision.value_or("unknown")},
          {"data_sha256",
           t.dataset.sha256}}.dump();
      groups.push_back({name, part.values});
      group.subtasks.push_back(name);
      group.sample_count += static_cast<int64_t>(part.values.size());
      report.tasks.push_back(std::move(part.task));
    }
    if (by_subject && !groups.empty()) {
      group.name = t.task.name;
      group.version = std::to_string(t.task.version);
      results::LmEvalMetric m;
      m.name = t.task.metric;
      m.value = tasks::micro_mean(groups).value_or(0);
      m.standard_error = tasks::pooled_standard_error(groups);
      group.metrics.push_back(m);
      report.groups.push_back(std::move(group));
    }
  }
  for (const auto& file : results::write_lm_eval_files(o.output, report))
    fmt::print("{}\n", file.string());
  return run.status == "complete" ? kOk : kIncomplete;
}

}  // namespace harness
