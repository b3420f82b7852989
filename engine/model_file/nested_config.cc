#include "engine/model_file/nested_config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/model_file/printable.h"
#include "engine/model_file/strict_json.h"

namespace engine {
namespace {

constexpr int64_t kFormatVersion = 1;
constexpr int64_t kMaxNestedWidth = int64_t{1} << 20, kMaxNestedContext = int64_t{1} << 31;

template <class Enum>
struct Word {
  Enum value;
  const char* word;
};
constexpr Word<RopeScaling> kScalings[] = {
    {RopeScaling::none, "none"}, {RopeScaling::linear, "linear"}, {RopeScaling::llama3, "llama3"}};
constexpr Word<RouterKind> kRouters[] = {{RouterKind::linear, "linear"},
                                         {RouterKind::representative, "representative"},
                                         {RouterKind::gate_first, "gate_first"},
                                         {RouterKind::exact_norm, "exact_norm"}};
constexpr Word<QkNorm> kQkNorms[] = {
    {QkNorm::none, "none"}, {QkNorm::head, "head"}, {QkNorm::whole, "whole"}};

template <class Enum, size_t N>
const char* word_of(const Word<Enum> (&words)[N], Enum value) {
  for (const auto& w : words) {
    if (w.value == value) return w.word;
  }
  return "";
}

template <class Enum, size_t N>
Enum value_of(const Word<Enum> (&words)[N], const JsonFields& j, const char* key) {
  const std::string text = j.require_string(key);
  std::string known;
  for (const auto& w : words) {
    if (text == w.word) return w.value;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", w.word);
  }
  j.fail(key, fmt::format("is {}, want one of {}", printable(text), known));
}

bool require_bool(const JsonFields& j, const char* key) {
  const auto v = j.find_bool(key);
  if (!v) j.fail(key, "is missing");
  return *v;
}

JsonFields require_object(const JsonFields& j, const char* key) {
  const auto v = j.find_object(key);
  if (!v) j.fail(key, "is missing");
  return *v;
}

RopeConfig read_rope(const JsonFields& j) {
  RopeConfig r;
  r.theta = j.require_float("theta");
  r.d_rot = j.require_int("rotated", 2, 4096);
  r.interleaved = require_bool(j, "interleaved");
  r.scaling = value_of(kScalings, j, "scaling");
  r.factor = j.require_float("factor");
  r.low_freq_factor = j.require_float("low_freq_factor");
  r.high_freq_factor = j.require_float("high_freq_factor");
  r.original_context = j.require_int("original_context", 0, kMaxNestedContext);
  if (const nlohmann::json* factors = j.find("frequency_factors")) {
    if (!factors->is_array()) j.fail("frequency_factors", "is no array");
    for (const nlohmann::json& f : *factors) {
      if (!f.is_number()) j.fail("frequency_factors", "holds something that is no number");
      r.frequency_factors.push_back(static_cast<float>(f.get<double>()));
    }
  }
  return r;
}

MoeConfig read_experts(const JsonFields& j) {
  MoeConfig m;
  m.n_experts = static_cast<int32_t>(j.require_int("count", 2, kMaxBudget));
  m.n_shared = static_cast<int32_t>(j.require_int("shared", 0, m.n_experts - 1));
  m.trained_k = m.n_experts;
  m.d_expert = m.d_shared = j.require_int("width", 1, kMaxNestedWidth);
  m.router = value_of(kRouters, j, "router");
  if (m.router == RouterKind::representative) {
    m.n_representatives = static_cast<int32_t>(j.require_int("representatives", 1, m.d_expert));
  }
  m.unit_weights = true;
  m.compensate = require_bool(j, "compensate");
  return m;
}

}  // namespace

std::string nested_config_json(const ModelConfig& c) {
  nlohmann::ordered_json rope = {{"theta", c.rope.theta},
                                 {"rotated", c.rope.d_rot},
                                 {"interleaved", c.rope.interleaved},
                                 {"scaling", word_of(kScalings, c.rope.scaling)},
                                 {"factor", c.rope.factor},
                                 {"low_freq_factor", c.rope.low_freq_factor},
                                 {"high_freq_factor", c.rope.high_freq_factor},
                                 {"original_context", c.rope.original_context}};
  if (!c.rope.frequency_factors.empty()) rope["frequency_factors"] = c.rope.frequency_factors;
  nlohmann::ordered_json experts = {{"count", c.moe.n_experts},
                                    {"shared", c.moe.n_shared},
                                    {"width", c.moe.d_expert},
                                    {"router", word_of(kRouters, c.moe.router)}};
  if (c.moe.n_representatives > 0) experts["representatives"] = c.moe.n_representatives;
  experts["compensate"] = c.moe.compensate;
  const nlohmann::ordered_json top = {{"model_type", "moeval_nested"},
                                      {"format_version", kFormatVersion},
                                      {"_name_or_path", c.name},
                                      {"num_hidden_layers", c.n_layers},
                                      {"hidden_size", c.d_model},
                                      {"num_attention_heads", c.n_heads},
                                      {"num_key_value_heads", c.n_kv_heads},
                                      {"head_dim", c.d_head},
                                      {"vocab_size", c.vocab},
                                      {"max_position_embeddings", c.max_tokens},
                                      {"sliding_window", c.sliding_window},
                                      {"rms_norm_eps", c.norm_eps},
                                      {"attention_bias", c.qkv_bias},
                                      {"qk_norm", word_of(kQkNorms, c.qk_norm)},
                                      {"tie_word_embeddings", c.tied_head},
                                      {"rope", rope},
                                      {"experts", experts}};
  return top.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

ModelConfig read_nested_config(const JsonFields& j) {
  j.require_int("format_version", kFormatVersion, kFormatVersion);
  ModelConfig c;
  c.family = "moeval_nested";
  c.name = j.find_string("_name_or_path").value_or("");
  c.n_layers = static_cast<int32_t>(j.require_int("num_hidden_layers", 1, 512));
  c.d_model = j.require_int("hidden_size", 1, kMaxNestedWidth);
  c.n_heads = j.require_int("num_attention_heads", 1, 4096);
  c.n_kv_heads = j.require_int("num_key_value_heads", 1, 4096);
  c.d_head = j.require_int("head_dim", 1, 4096);
  c.vocab = j.require_int("vocab_size", 1, int64_t{1} << 24);
  c.max_tokens = j.require_int("max_position_embeddings", 1, kMaxNestedContext);
  c.sliding_window = j.require_int("sliding_window", 0, kMaxNestedContext);
  c.norm_eps = j.require_float("rms_norm_eps");
  c.qkv_bias = require_bool(j, "attention_bias");
  c.qk_norm = value_of(kQkNorms, j, "qk_norm");
  c.tied_head = require_bool(j, "tie_word_embeddings");
  c.rope = read_rope(require_object(j, "rope"));
  c.moe = read_experts(require_object(j, "experts"));
  return c;
}

}  // namespace engine
