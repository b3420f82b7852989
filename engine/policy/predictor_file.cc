#include "engine/policy/predictor_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/model_file/printable.h"
#include "engine/model_file/safetensors.h"
#include "engine/model_file_error.h"
#include "engine/policy/plug_in.h"
#include "engine/policy/policy_error.h"
#include "engine/policy/policy_file.h"
#include "engine/policy/predictor_reader.h"

namespace engine {
namespace {

constexpr uint64_t kMaxPredictorBytes = 256u << 20;
constexpr size_t kMaxTrainingBytes = 1u << 20;  // every run of its policy stores them
constexpr int64_t kMaxHidden = 8;

double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

}  // namespace

PredictorNetwork PredictorNetwork::load(const std::filesystem::path& path,
                                        const PolicyContext& context) {
  std::string bytes = read_policy_file(path, kMaxPredictorBytes);
  PredictorNetwork p;
  p.file_ = path.string();
  p.d_model_ = context.d_model;
  p.sha256_ = context.sha256(bytes);
  const auto file =
      SafetensorsFile::parse(ByteSource::from_memory(path.string(), std::move(bytes)));
  const Reader reader(path, file);
  const auto header = file.metadata().find("moeval_predictor");
  if (header == file.metadata().end())
    reader.fail("__metadata__ has no moeval_predictor: this is no predictor");
  if (const auto training = file.metadata().find("moeval_training");
      training != file.metadata().end()) {
    if (training->second.size() > kMaxTrainingBytes)
      reader.fail(fmt::format("moeval_training holds {} bytes, want at most {}",
                              training->second.size(), kMaxTrainingBytes));
    if (!parse_strict_json(training->second, path.string() + ": moeval_training", 8).is_object())
      reader.fail("moeval_training is no JSON object");
    p.training_json_ = training->second;
  }
  const std::string place = path.string() + ": moeval_predictor";
  const auto root_json = parse_strict_json(header->second, place, 4);
  const JsonFields root(root_json, place);
  const auto version = root.require_int("version", 1, 2);
  check_model(path.string(), root.require_string("model_sha256"), context);
  if (const auto activation = root.require_string("activation"); activation != "relu")
    root.fail("activation", fmt::format("is {}, want relu", printable(activation)));

  const auto* features = root.find("features");
  if (features == nullptr || !features->is_array() || features->empty())
    root.fail("features", "is missing, want an array of names");
  int64_t n = 0;
  for (const auto& f : *features) {
    const Feature* known = f.is_string() ? find_feature(f.get<std::string>()) : nullptr;
    if (known == nullptr)
      root.fail("features", fmt::format("holds {}, known: {}", f.dump(-1, ' ', true),
                                        fmt::join(feature_names(), ", ")));
    p.features_.push_back(*known);
    n += feature_width(*known, context.d_model);
  }

  const auto* grid = root.find("k");
  if (grid == nullptr || !grid->is_array() || grid->empty())
    root.fail("k", "is missing, want an array of budgets");
  for (const auto& k : *grid) {
    const auto value = k.is_number_integer() ? k.get<int64_t>() : 0;
    if (value < 1 || value > context.moe.max_k() || (!p.k_.empty() && value <= p.k_.back()))
      root.fail("k", fmt::format("holds {}, want ascending budgets of 1 to {}",
                                 k.dump(-1, ' ', true), context.moe.max_k()));
    p.k_.push_back(static_cast<int32_t>(value));
  }
  const auto n_k = static_cast<int64_t>(p.k_.size());

  const auto success = root.find_string("p_k").value_or("");
  if (success == "ordinal") p.success_ = Success::ordinal;
  if (success == "free") p.success_ = Success::free;
  if (!success.empty() && p.success_ == Success::none)
    root.fail("p_k", fmt::format("is {}, want ordinal or free", printable(success)));
  const auto rule = root.find_object("rule");
  if (!rule) root.fail("rule", "is missing");
  const auto kind = rule->require_string("kind");
  if (kind == "plug_in") {
    p.rule_ = Rule::plug_in;
    p.lambda_ = rule->require_float("lambda");
    if (p.success_ == Success::none) rule->fail("kind", "is plug_in, but there is no p_k");
    const auto* cost = rule->find("cost");
    if (cost == nullptr || !cost->is_array() || static_cast<int64_t>(cost->size()) != n_k)
      rule->fail("cost", fmt::format("wants {} numbers, one per k", n_k));
    for (const auto& c : *cost) {
      if (!c.is_number() || !std::isfinite(c.get<double>()))
        rule->fail("cost", fmt::format("holds {}, want a number", c.dump(-1, ' ', true)));
      p.cost_.push_back(c.get<double>());
      if (!std::isfinite(p.lambda_ * p.cost_.back()))
        rule->fail("cost", fmt::format("holds {}, times lambda {} it is infinite", p.cost_.back(),
                                       p.lambda_));
    }
  } else if (kind != "logits") {
    rule->fail("kind", fmt::format("is {}, want plug_in or logits", printable(kind)));
  }

  if (reader.has("feature_mean") || reader.has("feature_scale")) {
    p.mean_ = reader.floats("feature_mean", {n});
    p.scale_ = reader.floats("feature_scale", {n});
    for (size_t i = 0; i < p.scale_.size(); ++i)
      if (p.scale_[i] == 0) reader.fail(fmt::format("feature_scale is 0 at {}", i));
  }
  int64_t width = n;
  while (reader.has(fmt::format("layers.{}.weight", p.hidden_.size()))) {
    if (static_cast<int64_t>(p.hidden_.size()) == kMaxHidden)
      reader.fail(fmt::format("has more than {} layers", kMaxHidden));
    p.hidden_.push_back(reader.linear(fmt::format("layers.{}", p.hidden_.size()), 0, width));
    width = p.hidden_.back().n_out;
  }
  if (p.success_ != Success::none) p.p_k_ = reader.linear("p_k", n_k, width);
  if (p.rule_ == Rule::logits) p.policy_ = reader.linear("policy", n_k, width);
  const auto fallback = root.find_object("fallback");
  if ((version == 2) != fallback.has_value())
    root.fail("fallback", fmt::format("{}, want it in version 2 and no other (this is version {})",
                                      fallback ? "is there" : "is missing", version));
  if (fallback) p.read_fallback(reader, *fallback, p.hidden_.empty() ? 0 : width);
  return p;
}

std::vector<float> PredictorNetwork::Linear::apply(std::span<const float> x) const {
  std::vector<float> y(static_cast<size_t>(n_out));
  for (size_t o = 0; o < y.size(); ++o) {
    const float* row = weight.data() + o * x.size();
    float sum = 0;
    for (size_t i = 0; i < x.size(); ++i) sum += row[i] * x[i];
    y[o] = sum + bias[o];
  }
  return y;
}

void PredictorNetwork::check_features(std::span<const float> values, const char* which) const {
  size_t i = 0;
  for (const Feature f : features_) {
    for (int64_t j = 0; j < feature_width(f, d_model_); ++j, ++i) {
      if (std::isfinite(values[i])) continue;
      const std::string at = feature_width(f, d_model_) > 1 ? fmt::format("[{}]", j) : "";
      throw PolicyError(fmt::format("{}: {} {}{} of the question is {}", file_, which,
                                    feature_name(f), at, values[i]));
    }
  }
}

void PredictorNetwork::check_outputs(std::span<const float> values, const std::string& of) const {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]))
      throw PolicyError(
          fmt::format("{}: output {} of {} is {} for the question", file_, i, of, values[i]));
  }
}

PredictorNetwork::Output PredictorNetwork::infer(std::span<const float> features) const {
  check_features(features, "feature");
  std::vector<float> h(features.begin(), features.end());
  for (size_t i = 0; i < mean_.size(); ++i) h[i] = (h[i] - mean_[i]) / scale_[i];
  check_features(h, "scaled feature");
  for (size_t i = 0; i < hidden_.size(); ++i) {
    h = hidden_[i].apply(h);
    check_outputs(h, fmt::format("layers.{}", i));
    for (float& x : h) x = std::max(x, 0.0f);
  }
  Output out;
  if (p_k_) {
    const auto o = p_k_->apply(h);
    check_outputs(o, "p_k");
    double logit = 0;
    for (size_t i = 0; i < o.size(); ++i) {
      if (success_ == Success::free || i == 0)
        logit = o[i];
      else
        logit += softplus(o[i]);
      out.p_k.push_back(sigmoid(logit));
    }
  }
  std::vector<double> value;
  if (rule_ == Rule::plug_in) {
    for (size_t i = 0; i < k_.size(); ++i) value.push_back(out.p_k[i] - lambda_ * cost_[i]);
  } else {
    const auto o = policy_->apply(h);
    check_outputs(o, "policy");
    value.assign(o.begin(), o.end());
  }
  const size_t usual = argmax(value);
  out.k = out.k_without_fallback = k_[usual];
  if (fallback_) out.k = k_[fall_back(h, usual, &out)];
  if (!out.p_k.empty()) {
    out.complexity = k_[0];
    for (size_t i = 0; i + 1 < k_.size(); ++i)
      out.complexity += (k_[i + 1] - k_[i]) * (1 - out.p_k[i]);
  } else {
    const double top = *std::max_element(value.begin(), value.end());
    double sum = 0, weighted = 0;
    for (size_t i = 0; i < k_.size(); ++i) {
      const double e = std::exp(value[i] - top);
      sum += e;
      weighted += e * k_[i];
    }
    out.complexity = weighted / sum;
  }
  return out;
}

kernels::Cost PredictorNetwork::cost() const {
  kernels::Cost c;
  const auto add = [&c](const Linear& l) {
    const auto n = static_cast<uint64_t>(l.n_out), m = static_cast<uint64_t>(l.n_in);
    c.flops += 2 * n * m;
    c.weight_bytes += (n * m + n) * sizeof(float);
  };
  for (const Linear& l : hidden_) add(l);
  if (p_k_) add(*p_k_);
  if (policy_) add(*policy_);
  if (fallback_) {
    const OodMeasure& m = fallback_->measure;
    c.flops += m.flops();
    c.weight_bytes += (m.mean.size() + m.factor.size() + m.rows.size()) * sizeof(float);
  }
  return c;
}

}  // namespace engine
