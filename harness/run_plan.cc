#include "harness/run_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "datasets/catalog.h"
#include "datasets/sha256.h"
#include "engine/checkpoint.h"
#include "engine/model_file_error.h"
#include "harness/exit_code.h"
#include "harness/places.h"

namespace harness {
namespace {

constexpr const char* kDeterminism = "bitwise per instruction set";

std::string hash_files(const std::vector<std::filesystem::path>& files) {
  if (files.size() == 1) return datasets::sha256_file(files[0]);
  std::string all;
  for (const auto& f : files)
    all += fmt::format("{} {}\n", datasets::sha256_file(f), f.filename().string());
  return datasets::sha256_hex(all);
}

std::string main_dtype(const engine::Checkpoint& checkpoint) {
  std::map<kernels::Dtype, int64_t> elements;
  for (const auto& t : checkpoint.tensors()) {
    int64_t n = 1;
    for (const int64_t d : t.shape) n *= d;
    elements[t.dtype] += n;
  }
  const auto most = std::max_element(elements.begin(), elements.end(),
                                     [](auto& a, auto& b) { return a.second < b.second; });
  return most == elements.end() ? "none" : std::string(kernels::dtype_name(most->first));
}

// The model's architecture as JSON, for the model row.
std::string config_json(const engine::ModelConfig& c) {
  return nlohmann::json{
      {"family", c.family},         {"n_layers", c.n_layers},       {"d_model", c.d_model},
      {"n_heads", c.n_heads},       {"n_kv_heads", c.n_kv_heads},   {"d_head", c.d_head},
      {"d_expert", c.moe.d_expert}, {"n_experts", c.moe.n_experts}, {"trained_k", c.moe.trained_k},
      {"vocab", c.vocab},           {"max_tokens", c.max_tokens},   {"norm_eps", c.norm_eps},
      {"rope_theta", c.rope.theta}, {"qkv_bias", c.qkv_bias},       {"qk_norm", static_cast<int>(c.qk_norm)},
      {"tied_head", c.tied_head}}
      .dump();
}

nlohmann::json spec_json(const RunSpec& s) {
  nlohmann::json j{{"name", s.name()},
                   {"model", s.model},
                   {"tasks", s.tasks},
                   {"policy", s.policy},
                   {"limit", s.limit},
                   {"sample", s.sample},
                   {"seed", s.seed},
                   {"num_samples", s.num_samples},
                   {"scenario", scenario_name(s.scenario)},
                   {"threads", s.threads},
                   {"streams", s.streams},
                   {"batch_rows", s.batch_rows},
                   {"reuse_prefix", s.reuse_prefix}};
  if (s.num_fewshot) j["num_fewshot"] = *s.num_fewshot;
  if (s.temperature) j["temperature"] = *s.temperature;
  if (s.top_p) j["top_p"] = *s.top_p;
  if (s.max_new_tokens) j["max_new_tokens"] = s.max_new_tokens;
  return j;
}

std::string gold_of(const datasets::Sample& s) {
  return s.answer >= 0 ? std::string(1, static_cast<char>('A' + s.answer)) : s.entry_point;
}

std::shared_ptr<const datasets::Dataset> load_data(const RunSpec& spec, const std::string& name) {
  datasets::LoadOptions options;
  options.allow_unverified = spec.allow_unverified;
  if (spec.data == "embedded") {
    if (name != "mmlu" && name != "humaneval")
      throw UsageError(fmt::format("--data embedded: there is no built-in suite for {}", name));
    return std::make_shared<datasets::Dataset>(datasets::load(name + "_embedded", {}, options));
  }
  std::vector<std::filesystem::path> roots;
  for (const auto& root : data_folders(spec.data))
    if (std::filesystem::is_directory(root)) roots.push_back(root);
  auto data = std::make_shared<datasets::Dataset>(datasets::load(name, roots, options));
  if (!spec.data.empty() && data->origin == "embedded")
    throw UsageError(
        fmt::format("--data {}: holds no {} files (moeval pull {} fetches them; --data "
                    "embedded runs the built-in suite)",
                    spec.data, name, name));
  return data;
}

}  // namespace

bool RunPlan::runs_code() const {
  return std::any_of(suites.begin(), suites.end(),
                     [](const auto& s) { return s.task->runs_code(); });
}

bool RunPlan::has_embedded_data() const {
  return std::any_of(suites.begin(), suites.end(),
                     [](const auto& s) { return s.data->origin == "embedded"; });
}

LoadedModel load_model(const RunSpec& spec) {
  const auto path = resolve_model(spec.model);
  LoadedModel m;
  m.label = model_label(spec.model);
  const auto checkpoint = engine::Checkpoint::open(path);
  m.tokenizer = engine::Tokenizer::load(path);
  if (m.tokenizer->vocab_size() > checkpoint->config().vocab)
    throw engine::ModelFileError(fmt::format("{}: tokenizer has {} tokens, the embedding {} rows",
                                             path.string(), m.tokenizer->vocab_size(),
                                             checkpoint->config().vocab));
  m.weights_sha256 = hash_files(checkpoint->files());
  m.dtype = main_dtype(*checkpoint);
  engine::EngineOptions options;
  options.threads = spec.threads;
  options.max_batch_rows = spec.batch_rows;
  options.max_streams = spec.scenario == Scenario::single ? 1 : spec.streams;
  m.engine = engine::Engine::load(*checkpoint, options);
  return m;
}

RunPlan make_plan(const RunSpec& spec) {
  RunPlan plan;
  std::map<std::string, std::shared_ptr<const datasets::Dataset>> loaded;
  for (const auto& name : spec.tasks) {
    PlannedSuite suite;
    tasks::TaskOptions options;
    options.num_fewshot = spec.num_fewshot;
    suite.task = tasks::make_task(name, options);
    auto& data = loaded[suite.task->dataset()];
    if (!data) {
      data = load_data(spec, suite.task->dataset());
    }
    suite.data = data;
    suite.repeats = suite.task->runs_code() ? spec.num_samples : 1;
    std::vector<std::string> ids, subsets;
    for (const auto& s : data->samples) {
      ids.push_back(s.id);
      subsets.push_back(s.subset);
    }
    suite.chosen = select_samples(ids, subsets, spec.limit, spec.sample, spec.seed);
    plan.suites.push_back(std::move(suite));
  }
  for (size_t si = 0; si < plan.suites.size(); ++si) {
    const auto& suite = plan.suites[si];
    // Demonstrations differ by subset; without any there is nothing to share between subsets'
    // items.
    const bool by_subset = suite.task->num_fewshot() > 0;
    const std::string* subset = nullptr;
    for (size_t i = 0; i < suite.chosen.size(); ++i) {
      const auto& sample = suite.data->samples[suite.chosen[i]];
      if (subset == nullptr || (by_subset && *subset != sample.subset)) {
        plan.groups.push_back(
            {si, suite.task->name() + (by_subset ? " " + sample.subset : ""), {}});
        subset = &sample.subset;
      }
      for (int r = 0; r < suite.repeats; ++r) {
        plan.groups.back().ordinals.push_back(static_cast<int64_t>(plan.attempts.size()));
        plan.attempts.push_back({si, i, r});
      }
    }
  }
  if (plan.attempts.empty()) throw UsageError("nothing to run: no sample was chosen");
  return plan;
}

tasks::Query query_of(const RunPlan& plan, const RunSpec& spec, const PlannedAttempt& a) {
  const auto& suite = plan.suites[a.suite];
  auto q = suite.task->query(plan.sample(a), *suite.data);
  if (q.kind == tasks::Query::Kind::generate) {
    if (spec.temperature) q.temperature = *spec.temperature;
    if (spec.top_p) q.top_p = *spec.top_p;
    if (spec.max_new_tokens > 0) q.max_new_tokens = spec.max_new_tokens;
    if (a.repeat > 0) q.reference.clear();  // its NLL is known from the first repeat
  }
  return q;
}

results::RunPlan store_plan(const RunSpec& spec, const RunPlan& plan, const LoadedModel& model,
                            const Environment& env, const tasks::SandboxInfo* sandbox) {
  results::RunPlan out;
  auto& run = out.run;
  run.fingerprint = {
      {"tool", env.tool_version},
      {"commit", env.git_sha + (env.git_dirty ? "+changes" : "")},
      {"binary", env.binary_sha256},
      {"instruction_set", env.instruction_set},
      {"model.weights", model.weights_sha256},
      {"model.tokenizer", model.tokenizer->description()},
      {"policy", spec.policy},
      {"seed", std::to_string(spec.seed)},
      {"limit", std::to_string(spec.limit)},
      {"sample", std::to_string(spec.sample)},
      {"num_samples", std::to_string(spec.num_samples)},
      {"temperature", spec.temperature ? fmt::format("{}", *spec.temperature) : "task"},
      {"top_p", spec.top_p ? fmt::format("{}", *spec.top_p) : "task"},
      {"max_new_tokens", std::to_string(spec.max_new_tokens)},
      {"scenario", scenario_name(spec.scenario)},
      {"prefix_reuse", spec.reuse_prefix ? "on" : "off"},
  };
  if (sandbox != nullptr) {
    run.fingerprint["sandbox.policy"] = sandbox->policy_sha256;
    run.fingerprint["sandbox.tier"] = std::to_string(sandbox->tier);
    run.fingerprint["sandbox.interpreter"] = sandbox->interpreter_sha256;
  }
  for (const auto& s : plan.suites) {
    run.fingerprint["task." + s.task->name()] = datasets::sha256_hex(s.task->config_json());
    run.fingerprint["data." + s.data->name] = s.data->sha256;
  }
  auto config = spec_json(spec);
  if (sandbox != nullptr)
    config["sandbox"] = {{"tier", sandbox->tier},
                         {"interpreter", sandbox->interpreter},
                         {"interpreter_version", sandbox->interpreter_version},
                         {"landlock_abi", sandbox->landlock_abi},
                         {"policy_sha256", sandbox->policy_sha256}};
  run.config_json = config.dump();
  run.argv = fmt::format("{}", fmt::join(spec.argv, " "));
  run.tool_version = env.tool_version;
  if (!env.git_sha.empty()) {
    run.git_sha = env.git_sha;
    run.git_dirty = env.git_dirty ? 1 : 0;
  }
  run.binary_sha256 = env.binary_sha256;
  run.seed = static_cast<int64_t>(spec.seed);
  run.determinism = kDeterminism;
  run.scenario = scenario_name(spec.scenario);
  run.concurrency = spec.scenario == Scenario::single ? 1 : spec.streams;
  run.note = spec.name();
  run.run_uuid = spec.resume;
  out.mode = spec.new_run           ? results::StartMode::new_run
             : !spec.resume.empty() ? results::StartMode::resume
                                    : results::StartMode::automatic;

  auto& e = out.environment;
  e.fingerprint = env.fingerprint();
  e.os = env.os;
  e.kernel = env.kernel;
  e.cpu_model = env.cpu_model;
  e.instruction_set = env.instruction_set;
  e.cpu_cores = env.cpu_cores;
  e.ram_bytes = env.ram_bytes;
  e.compiler = env.compiler;
  e.build_flags = env.build_flags;

  const auto& c = model.engine->config();
  const auto params = model.engine->parameters();
  out.model = {.name = model.label,
               .weights_sha256 = model.weights_sha256,
               .tokenizer_sha256 = datasets::sha256_hex(model.tokenizer->description()),
               .config_json = config_json(c),
               .dtype = model.dtype,
               .n_layers = c.n_layers,
               .n_experts = c.moe.n_experts,
               .params_total = params.total,
               .params_dense = params.dense,
               .params_per_expert = params.per_expert};

  results::PolicyRow policy;
  policy.kind = spec.policy == "trained" ? "trained" : "fixed";
  if (policy.kind == "fixed") policy.k_fixed = 1;
  policy.label = spec.policy;
  policy.policy_sha256 = datasets::sha256_hex("policy " + spec.policy);
  out.policies.push_back(policy);

  for (const auto& s : plan.suites) {
    results::PlannedTask t;
    t.dataset.name = s.data->name;
    t.dataset.split = "test";
    t.dataset.revision = s.data->origin;
    t.dataset.sha256 = s.data->sha256;
    t.dataset.n_rows = static_cast<int64_t>(s.data->samples.size());
    if (!s.data->licence.empty()) t.dataset.licence = s.data->licence;
    t.task.name = s.task->name();
    t.task.suite = s.task->suite();
    t.task.version = s.task->version();
    t.task.scorer = s.task->scorer();
    t.task.metric = s.task->metric();
    t.task.n_shot = s.task->num_fewshot();
    t.task.config_json = s.task->config_json();
    t.task.prompt_sha256 = datasets::sha256_hex(t.task.config_json);
    t.task.chance = s.task->chance();
    t.task.task_sha256 = datasets::sha256_hex(
        fmt::format("{}\n{}\n{}", t.task.name, t.task.config_json, s.data->sha256));
    for (const size_t i : s.chosen) {
      const auto& sample = s.data->samples[i];
      results::SampleRow row;
      row.source_key = sample.id;
      row.cluster = sample.subset.empty() ? sample.id : sample.subset;
      row.gold = gold_of(sample);
      if (!sample.choices.empty()) row.n_choices = static_cast<int64_t>(sample.choices.size());
      t.samples.push_back(std::move(row));
    }
    out.tasks.push_back(std::move(t));
  }
  for (const auto& a : plan.attempts) {
    results::PlannedRow row;
    row.task = static_cast<int32_t>(a.suite);
    row.sample = static_cast<int32_t>(a.sample);
    row.repeat_ix = a.repeat;
    out.planned.push_back(row);
  }
  return out;
}

}  // namespace harness
