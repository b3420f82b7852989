#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/checkpoint.h"
#include "engine/engine.h"
#include "engine/tokenizer.h"
#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/places.h"
#include "kernels/elementwise.h"

namespace harness {
namespace {

using nlohmann::json;

// Bytes as JSON can carry them: text when it is UTF-8, else hex.
json token_json(const engine::Tokenizer& t, engine::TokenId id) {
  const std::string bytes = t.token_bytes(id);
  json j{{"id", id}};
  try {
    j["text"] = bytes;
    (void)j.dump();
  } catch (const json::exception&) {
    std::string hex;
    for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    j.erase("text");
    j["hex"] = hex;
  }
  return j;
}

std::vector<engine::TokenId> ids_of(const InspectOptions& o, const engine::Tokenizer* t) {
  if (!o.ids.empty()) return o.ids;
  return t->encode(o.text, o.bos && t->adds_bos(), o.special);
}

int tensors(const std::filesystem::path& path) {
  const auto checkpoint = engine::Checkpoint::open(path);
  const auto& c = checkpoint->config();
  json list = json::array();
  for (const auto& t : checkpoint->tensors())
    list.push_back({{"name", t.name},
                    {"stored_name", t.stored_name},
                    {"dtype", std::string(kernels::dtype_name(t.dtype))},
                    {"shape", t.shape}});
  const json out{
      {"file", path.string()},      {"family", c.family},         {"n_layers", c.n_layers},
      {"d_model", c.d_model},       {"n_heads", c.n_heads},       {"n_kv_heads", c.n_kv_heads},
      {"d_head", c.d_head},         {"d_expert", c.moe.d_expert}, {"n_experts", c.moe.n_experts},
      {"vocab", c.vocab},           {"max_tokens", c.max_tokens}, {"norm_eps", c.norm_eps},
      {"rope_theta", c.rope.theta}, {"tied_head", c.tied_head},   {"tensors", list}};
  fmt::print("{}\n", out.dump(1));
  return kOk;
}

int tokens(const InspectOptions& o, const std::filesystem::path& path) {
  const auto t = engine::Tokenizer::load(path);
  json list = json::array();
  const auto ids = ids_of(o, t.get());
  for (const auto id : ids) {
    if (id < 0 || id >= t->vocab_size())
      throw UsageError(fmt::format("--ids {}: the vocabulary has {} tokens", id, t->vocab_size()));
    list.push_back(token_json(*t, id));
  }
  fmt::print(
      "{}\n",
      json{{"tokenizer", t->description()}, {"n", ids.size()}, {"ids", ids}, {"tokens", list}}.dump(
          1));
  return kOk;
}

int logits(const InspectOptions& o, const std::filesystem::path& path) {
  const auto checkpoint = engine::Checkpoint::open(path);
  // Ids need no vocabulary, so that a checkpoint without a tokenizer can be compared too.
  const auto tokenizer = o.ids.empty() ? engine::Tokenizer::load(path) : nullptr;
  engine::EngineOptions options;
  options.threads = o.threads;
  const auto engine = load_engine(*checkpoint, o.device, options);
  const auto ids = ids_of(o, tokenizer.get());
  if (ids.empty()) throw UsageError("no tokens: give --text or --ids");
  const int64_t vocab = engine->config().vocab;
  for (const auto id : ids)
    if (id < 0 || id >= vocab)
      throw UsageError(fmt::format("--ids {}: the vocabulary has {} tokens", id, vocab));
  if (static_cast<int64_t>(ids.size()) > engine->max_tokens())
    throw UsageError(
        fmt::format("{} tokens, the model holds {}", ids.size(), engine->max_tokens()));
  const int32_t max_k = engine->config().moe.max_k();
  if (o.k < 0 || o.k > max_k)
    throw UsageError(fmt::format("--k {}: this model runs 1 to {}", o.k, max_k));
  engine::ExpertBudget budget = engine->trained_budget();
  if (o.k > 0) {
    budget = {};
    budget.k = o.k;
  }
  const auto all = engine->logits(ids, budget);
  json out{{"model", path.string()},
           {"device", device_label(engine->device())},
           {"ids", ids},
           {"vocab", vocab}};
  if (o.top > 0) {
    const float* last = all.data() + (static_cast<int64_t>(ids.size()) - 1) * vocab;
    const double norm = kernels::log_sum_exp(last, vocab);
    std::vector<int32_t> order(static_cast<size_t>(vocab));
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
    const auto n = std::min<size_t>(static_cast<size_t>(o.top), order.size());
    std::partial_sort(
        order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n), order.end(),
        [&](int32_t a, int32_t b) { return last[a] != last[b] ? last[a] > last[b] : a < b; });
    json top = json::array();
    for (size_t i = 0; i < n; ++i) {
      json j = tokenizer ? token_json(*tokenizer, order[i]) : json{{"id", order[i]}};
      j["logit"] = last[order[i]];
      j["logprob"] = static_cast<double>(last[order[i]]) - norm;
      top.push_back(j);
    }
    out["top"] = top;
  } else {
    json rows = json::array();
    for (size_t r = 0; r < ids.size(); ++r)
      rows.push_back(std::vector<float>(all.begin() + static_cast<std::ptrdiff_t>(r) * vocab,
                                        all.begin() + static_cast<std::ptrdiff_t>(r + 1) * vocab));
    out["logits"] = rows;
  }
  fmt::print("{}\n", out.dump(1));
  return kOk;
}

}  // namespace

int command_inspect(const InspectOptions& o) {
  const auto path = resolve_model(o.model);
  if (o.what == "tensors") return tensors(path);
  if (o.text.empty() && o.ids.empty()) throw UsageError("give --text or --ids");
  return o.what == "tokens" ? tokens(o, path) : logits(o, path);
}

}  // namespace harness
