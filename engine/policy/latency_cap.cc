#include "engine/policy/latency_cap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/model_file/printable.h"
#include "engine/model_file_error.h"
#include "engine/policy/policy_error.h"
#include "engine/policy/policy_file.h"

namespace engine {
namespace {

// Milliseconds per token at k = 1 .. max_k from the named ones.
std::vector<double> per_k(const JsonFields& root, const char* key, const std::string& file,
                          int32_t max_k) {
  const auto* named = root.find(key);
  if (named == nullptr || !named->is_object()) root.fail(key, "is missing, want an object");
  std::map<int32_t, double> at;
  for (const auto& [name, ms] : named->items()) {
    const bool digits =
        !name.empty() && name.size() <= 2 &&
        std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    const int32_t k = digits ? std::stoi(name) : 0;
    if (k < 1 || k > max_k) {
      throw ModelFileError(fmt::format("{}: {} names k = {}, this model runs 1 to {}", file, key,
                                       printable(name), max_k));
    }
    if (!ms.is_number() || !std::isfinite(ms.get<double>()) || ms.get<double>() < 0) {
      throw ModelFileError(fmt::format("{}: {} of k = {} is {}, want milliseconds", file, key, k,
                                       ms.dump(-1, ' ', true)));
    }
    if (!at.emplace(k, ms.get<double>()).second)
      throw ModelFileError(fmt::format("{}: {} names k = {} twice", file, key, k));
  }
  for (const int32_t needed : {1, max_k}) {
    if (!at.contains(needed))
      throw ModelFileError(fmt::format("{}: {} does not name k = {}", file, key, needed));
  }
  std::vector<double> out;
  for (int32_t k = 1; k <= max_k; ++k) {
    const auto above = at.lower_bound(k);
    if (above->first == k) {
      out.push_back(above->second);
      continue;
    }
    const auto below = std::prev(above);
    const double share = static_cast<double>(k - below->first) / (above->first - below->first);
    out.push_back(below->second + share * (above->second - below->second));
  }
  return out;
}

// The budget with no layer above k.
ExpertBudget lowered(ExpertBudget budget, int32_t k) {
  if (budget.k_per_layer.empty()) {
    budget.k = std::min(budget.k, k);
    return budget;
  }
  int64_t sum = 0;
  for (int16_t& layer : budget.k_per_layer) {
    layer = static_cast<int16_t>(std::min<int32_t>(layer, k));
    sum += layer;
  }
  const auto n = static_cast<int64_t>(budget.k_per_layer.size());
  budget.k = static_cast<int32_t>((2 * sum + n) / (2 * n));
  return budget;
}

}  // namespace

LatencyCoefficients LatencyCoefficients::load(const std::filesystem::path& path,
                                              const PolicyContext& context) {
  const std::string bytes = read_policy_file(path, 1u << 20);
  const auto json = parse_strict_json(bytes, path.string(), 3);
  const JsonFields root(json, path.string());
  check_format(root, "moeval_latency/1");
  root.allow_only({"format", "model_sha256", "prefill_ms_per_token", "decode_ms_per_token"});
  check_model(path.string(), root.require_string("model_sha256"), context);
  LatencyCoefficients out;
  const int32_t max_k = context.moe.max_k();
  out.prefill_ms = per_k(root, "prefill_ms_per_token", path.string(), max_k);
  out.decode_ms = per_k(root, "decode_ms_per_token", path.string(), max_k);
  out.file_sha256 = context.sha256(bytes);
  return out;
}

double LatencyCoefficients::predicted_ms(int32_t k, int64_t prompt_tokens,
                                         int64_t max_new_tokens) const {
  const auto i = static_cast<size_t>(k - 1);
  return prefill_ms.at(i) * static_cast<double>(prompt_tokens) +
         decode_ms.at(i) * static_cast<double>(max_new_tokens);
}

LatencyCap::LatencyCap(std::shared_ptr<const ExpertPolicy> inner, double cap_ms,
                       LatencyCoefficients coefficients)
    : inner_(std::move(inner)), cap_ms_(cap_ms), coefficients_(std::move(coefficients)) {
  if (!(cap_ms > 0) || !std::isfinite(cap_ms))
    throw PolicyError(fmt::format("latency cap of {} ms: want a positive time", cap_ms));
}

std::string LatencyCap::label() const {
  return fmt::format("{}+cap:{}ms", inner_->label(), cap_ms_);
}

std::string LatencyCap::config_json() const {
  return nlohmann::json{{"policy", nlohmann::json::parse(inner_->config_json())},
                        {"latency_cap_ms", cap_ms_},
                        {"coefficients_sha256", coefficients_.file_sha256}}
      .dump();
}

Decision LatencyCap::decide(const QueryFeatures& q) const {
  Decision d = inner_->decide(q);
  const int32_t wanted = d.budget.k;
  d.k_uncapped = wanted;
  const auto& layers = d.budget.k_per_layer;
  int32_t k = layers.empty() ? wanted : *std::max_element(layers.begin(), layers.end());
  const auto fits = [&](int32_t limit) {
    return coefficients_.predicted_ms(lowered(d.budget, limit).k, q.prompt_tokens,
                                      q.max_new_tokens) <= cap_ms_;
  };
  if (fits(k)) return d;
  while (k > 1 && !fits(k)) --k;
  d.budget = lowered(d.budget, k);
  d.capped = true;
  return d;
}

}  // namespace engine
