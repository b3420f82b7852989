#include "harness/policies.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "datasets/sha256.h"
#include "engine/checkpoint.h"
#include "engine/policy/latency_cap.h"
#include "engine/policy/policy_spec.h"
#include "harness/exit_code.h"
#include "harness/places.h"
#include "harness/prompt_tokens.h"
#include "harness/question.h"

namespace harness {
namespace {

engine::PolicyContext context_of(const engine::ModelConfig& c) {
  engine::PolicyContext context;
  context.moe = c.moe;
  context.n_layers = c.n_layers;
  context.d_model = c.d_model;
  context.sha256 = [](std::string_view bytes) { return datasets::sha256_hex(std::string(bytes)); };
  return context;
}

engine::PolicyContext context_of(const LoadedModel& model) {
  auto context = context_of(model.engine->config());
  context.weights_sha256 = model.weights_sha256;
  context.embedding_row = [engine = model.engine.get()](engine::TokenId token, float* row) {
    engine->embedding(token, row);
  };
  return context;
}

}  // namespace

void check_policies(const RunSpec& spec) {
  if (spec.kind == RunKind::sweep) return;
  const auto policy = engine::parse_policy(spec.policy);
  for (const std::string& file : {policy.file, spec.latency_file})
    if (!file.empty() && !std::filesystem::is_regular_file(file))
      throw UsageError(fmt::format("{}: there is no such file", file));
  if (!policy.file.empty() && policy.kind != "layers") return;  // needs the weights' hash
  const auto checkpoint = engine::Checkpoint::open(resolve_model(spec.model));
  engine::make_policy(policy, context_of(checkpoint->config()));
}

Policies load_policies(const RunSpec& spec, const RunPlan& plan, const LoadedModel& model) {
  const auto context = context_of(model);
  Policies out;
  for (const auto& written : plan.policies) {
    auto policy = engine::make_policy(engine::parse_policy(written), context);
    if (spec.latency_cap_ms)
      policy = std::make_shared<engine::LatencyCap>(
          policy, *spec.latency_cap_ms,
          engine::LatencyCoefficients::load(spec.latency_file, context));
    out.push_back(std::move(policy));
  }
  return out;
}

void check_decisions(const RunSpec& spec, const RunPlan& plan, const LoadedModel& model,
                     const Policies& policies) {
  const auto* cap = dynamic_cast<const engine::LatencyCap*>(policies.at(0).get());
  const bool table = policies.at(0)->kind() == "table";
  if (cap == nullptr && !table) return;
  double least_ms = std::numeric_limits<double>::infinity();
  bool one_fits = cap == nullptr;
  for (const auto& a : plan.attempts) {
    const auto& policy = *policies.at(a.policy);
    if (cap == nullptr) {
      policy.decide({.key = query_key(plan, a)});
      continue;
    }
    if (one_fits && !table) break;
    const auto query = query_of(plan, spec, a);
    const Question question(query_key(plan, a), query, *model.tokenizer);
    const auto prompt = tokenise(*model.tokenizer, query, model.engine->max_tokens());
    const auto features = question.features(static_cast<int64_t>(prompt.prompt.size()));
    if (table) policy.decide(features);
    const double ms =
        cap->coefficients().predicted_ms(1, features.prompt_tokens, features.max_new_tokens);
    least_ms = std::min(least_ms, ms);
    one_fits |= ms <= cap->cap_ms();
  }
  if (!one_fits)
    throw UsageError(
        fmt::format("--latency-cap {}: no query fits; with one expert the shortest takes {:.3g} ms",
                    cap->cap_ms(), least_ms));
}

std::string query_key(const RunPlan& plan, const PlannedAttempt& a) {
  std::string key = fmt::format("{}:{}", plan.suites[a.suite].task->name(), plan.sample(a).id);
  if (a.variant.family != Variant::Family::clean)
    key += fmt::format("@{}/{}", variant_name(a.variant), variant_severity(a.variant));
  return key;
}

results::PolicyRow policy_row(const engine::ExpertPolicy& p) {
  results::PolicyRow row;
  row.kind = p.kind();
  row.label = p.label();
  auto config = nlohmann::json::parse(p.config_json());
  row.policy_sha256 = datasets::sha256_hex(p.config_json());
  if (const auto origin = p.origin_json(); !origin.empty())
    config["training"] = nlohmann::json::parse(origin);
  row.config_json = config.dump();
  if (row.kind == "fixed") row.k_fixed = p.decide({}).budget.k;
  const auto& inner = config.contains("policy") ? config["policy"] : config;
  if (row.kind == "predictor") row.predictor_sha256 = inner.at("file_sha256");
  return row;
}

}  // namespace harness
