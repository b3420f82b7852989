#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "datasets/sha256.h"
#include "harness/device_choice.h"
#include "harness/policies.h"
#include "harness/run_plan.h"
#include "harness/shifted_forms.h"
#include "harness/stored_shift.h"

namespace harness {
namespace {

constexpr const char* kDeterminism = "bitwise per instruction set";
// cuBLAS adds in an order that depends on how many rows there are.
constexpr const char* kDeviceDeterminism = "up to rounding, by the queries that ran beside it";

// The model's architecture as JSON, for the model row.
std::string config_json(const engine::ModelConfig& c) {
  return nlohmann::json{{"family", c.family},
                        {"n_layers", c.n_layers},
                        {"d_model", c.d_model},
                        {"n_heads", c.n_heads},
                        {"n_kv_heads", c.n_kv_heads},
                        {"d_head", c.d_head},
                        {"d_expert", c.moe.d_expert},
                        {"d_shared", c.moe.d_shared},
                        {"n_experts", c.moe.n_experts},
                        {"n_shared", c.moe.n_shared},
                        {"trained_k", c.moe.trained_k},
                        {"renormalise", c.moe.renormalise},
                        {"vocab", c.vocab},
                        {"max_tokens", c.max_tokens},
                        {"norm_eps", c.norm_eps},
                        {"rope_theta", c.rope.theta},
                        {"qkv_bias", c.qkv_bias},
                        {"qk_norm", static_cast<int>(c.qk_norm)},
                        {"tied_head", c.tied_head}}
      .dump();
}

nlohmann::json spec_json(const RunSpec& s, const engine::Engine& engine) {
  nlohmann::json j{{"name", s.name()},
                   {"model", s.model},
                   {"tasks", s.tasks},
                   {"policy", s.policy},
                   {"gate_norm", engine::gate_norm_name(s.gate_norm)},
                   {"ranks", s.ranks},
                   {"router_margins", s.router_margins},
                   {"generate", s.generate},
                   {"limit", s.limit},
                   {"sample", s.sample},
                   {"seed", s.seed},
                   {"num_samples", s.num_samples},
                   {"scenario", scenario_name(s.scenario)},
                   {"threads", s.threads},
                   {"streams", s.streams},
                   {"batch_rows", engine.options().max_batch_rows},
                   {"reuse_prefix", s.reuse_prefix}};
  if (const auto device = engine.device(); device.device != "cpu") {
    j["device"] = device.device;
    j["device_dtype"] = device.type;
  }
  if (s.kind == RunKind::sweep) {
    j["grid"] = s.grid;
    if (s.ways > 0) j["ways"] = s.ways;
    j.erase("policy");
  }
  if (s.latency_cap_ms) {
    j["latency_cap_ms"] = *s.latency_cap_ms;
    j["latency_coefficients"] = s.latency_file;
  }
  if (!s.shifts.empty()) {
    j["shift"] = s.shifts;
    j["shift_seed"] = s.shift_seed;
    j["shift_items"] = s.shift_items;
    if (!s.gadget_file.empty()) j["gadget"] = s.gadget_file;
  }
  if (s.num_fewshot) j["num_fewshot"] = *s.num_fewshot;
  if (s.temperature) j["temperature"] = *s.temperature;
  if (s.top_p) j["top_p"] = *s.top_p;
  if (s.max_new_tokens) j["max_new_tokens"] = s.max_new_tokens;
  return j;
}

std::string gold_of(const datasets::Sample& s) {
  if (s.answer >= 0) return std::string(1, static_cast<char>('A' + s.answer));
  return s.target.empty() ? s.entry_point : s.target;
}

// Everything that decides, of each policy.
std::string policies_text(std::span<const std::shared_ptr<const engine::ExpertPolicy>> policies) {
  std::string out;
  for (const auto& p : policies) out += (out.empty() ? "" : " ") + p->config_json();
  return out;
}

results::ShiftRow shift_row(const Variant& v) {
  results::ShiftRow row;
  row.name = variant_name(v);
  row.family = row.name.substr(0, row.name.find('.'));
  row.severity = variant_severity(v);
  if (v.family != Variant::Family::shift) return row;
  row.version = tasks::shift_version(v.shift);
  row.config_json = shift_config(v.shift);
  return row;
}

// Every shift with the version of its rules: "typos:1/v1 padding:2/v1 seed 3".
std::string shifts_text(const RunSpec& spec) {
  std::string out;
  for (const auto& shift : parsed_shifts(spec)) {
    out += fmt::format("{}/v{} ", tasks::shift_label(shift), tasks::shift_version(shift));
    if (shift.forms) out += fmt::format("data {} ", shift.forms->sha256.substr(0, 12));
    if (!shift.text.empty())
      out += fmt::format("text {} ", datasets::sha256_hex(shift.text).substr(0, 12));
  }
  return out + fmt::format("seed {} items {}", spec.shift_seed, spec.shift_items);
}

}  // namespace

results::RunPlan store_plan(const RunSpec& spec, const RunPlan& plan, const LoadedModel& model,
                            std::span<const std::shared_ptr<const engine::ExpertPolicy>> policies,
                            const Environment& env, const tasks::SandboxInfo* sandbox) {
  results::RunPlan out;
  auto& run = out.run;
  run.kind = spec.kind == RunKind::sweep ? "sweep" : "policy";
  run.fingerprint = {
      {"tool", env.tool_version},
      {"commit", env.git_sha + (env.git_dirty ? "+changes" : "")},
      {"binary", env.binary_sha256},
      {"instruction_set", env.instruction_set},
      {"model.weights", model.weights_sha256},
      {"model.tokenizer", model.tokenizer->description()},
      {"policy", policies_text(policies)},
      {"gate_norm", engine::gate_norm_name(spec.gate_norm)},
      {"router_margins", spec.router_margins ? "on" : "off"},
      {"generate", spec.generate ? "on" : "off"},
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
  run.fingerprint.merge(device_fingerprint(model.engine->device()));
  if (!spec.shifts.empty()) run.fingerprint["shift"] = shifts_text(spec);
  if (sandbox != nullptr) {
    run.fingerprint["sandbox.policy"] = sandbox->policy_sha256;
    run.fingerprint["sandbox.tier"] = std::to_string(sandbox->tier);
    run.fingerprint["sandbox.interpreter"] = sandbox->interpreter_sha256;
  }
  for (const auto& s : plan.suites) {
    run.fingerprint["task." + s.task->name()] = datasets::sha256_hex(s.task->config_json());
    run.fingerprint["data." + s.data->name] = s.data->sha256;
  }
  auto config = spec_json(spec, *model.engine);
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
  run.determinism = env.gpu_model ? kDeviceDeterminism : kDeterminism;
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
  e.gpu_model = env.gpu_model;
  e.gpu_count = env.gpu_count;
  e.gpu_driver = env.gpu_driver;
  e.cuda_version = env.cuda_version;
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

  for (const auto& p : policies) out.policies.push_back(policy_row(*p));

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
  std::vector<Variant> variants{Variant{}};  // as out.shifts
  for (const auto& a : plan.attempts) {
    results::PlannedRow row;
    row.task = static_cast<int32_t>(a.suite);
    row.sample = static_cast<int32_t>(a.sample);
    row.repeat_ix = a.repeat;
    row.policy = static_cast<int32_t>(a.policy);
    row.shift_seed = static_cast<int64_t>(a.variant.seed);
    const auto shift = std::find(variants.begin(), variants.end(), a.variant);
    row.shift = static_cast<int32_t>(shift - variants.begin());
    if (shift == variants.end()) {
      variants.push_back(a.variant);
      out.shifts.push_back(shift_row(a.variant));
    }
    out.planned.push_back(row);
  }
  return out;
}

}  // namespace harness
