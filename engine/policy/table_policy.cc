#include "engine/policy/table_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/model_file/printable.h"
#include "engine/model_file_error.h"
#include "engine/policy/policy_error.h"
#include "engine/policy/policy_file.h"

namespace engine {
namespace {

constexpr uint64_t kMaxTableBytes = 256u << 20;

// The key without the "@family/severity" of a shift: a family is of a-z, 0-9, _ and the dot
// of "neutral.padding", a severity of digits. Any other '@' belongs to the sample's id.
std::string_view without_shift(std::string_view key) {
  const size_t at = key.rfind('@');
  if (at == std::string_view::npos) return key;
  const std::string_view shift = key.substr(at + 1);
  const size_t slash = shift.find('/');
  if (slash == std::string_view::npos) return key;
  const std::string_view family = shift.substr(0, slash), severity = shift.substr(slash + 1);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto letter = [&](char c) {
    return (c >= 'a' && c <= 'z') || c == '_' || c == '.' || digit(c);
  };
  const bool is_shift = !family.empty() && std::all_of(family.begin(), family.end(), letter) &&
                        !severity.empty() && std::all_of(severity.begin(), severity.end(), digit);
  return is_shift ? key.substr(0, at) : key;
}

}  // namespace

std::shared_ptr<const TablePolicy> TablePolicy::load(const std::filesystem::path& path,
                                                     std::string label,
                                                     const PolicyContext& context) {
  const std::string bytes = read_policy_file(path, kMaxTableBytes);
  const auto root_json = parse_strict_json(bytes, path.string(), 3);
  const JsonFields root(root_json, path.string());
  check_format(root, "moeval_table/1");
  root.allow_only({"format", "model_sha256", "note", "k"});
  check_model(path.string(), root.require_string("model_sha256"), context);
  const auto* table = root.find("k");
  if (table == nullptr || !table->is_object()) root.fail("k", "is missing, want an object");
  std::shared_ptr<TablePolicy> policy(new TablePolicy());
  policy->label_ = std::move(label);
  policy->file_ = path.string();
  policy->sha256_ = context.sha256(bytes);
  policy->k_.reserve(table->size());
  for (const auto& [key, k] : table->items()) {
    const bool whole = k.is_number_integer();
    const auto value = whole && !(k.is_number_unsigned() && k.get<uint64_t>() > INT32_MAX)
                           ? k.get<int64_t>()
                           : int64_t{0};
    if (!whole || value < 1 || value > context.moe.max_k()) {
      throw ModelFileError(fmt::format("{}: k of {} is {}, this model runs 1 to {}", path.string(),
                                       printable(key), k.dump(-1, ' ', true), context.moe.max_k()));
    }
    policy->k_.emplace(key, static_cast<int32_t>(value));
  }
  return policy;
}

std::string TablePolicy::config_json() const {
  return nlohmann::json{{"kind", "table"}, {"file_sha256", sha256_}}.dump();
}

Decision TablePolicy::decide(const QueryFeatures& q) const {
  const std::string_view key = q.key;
  const size_t task_end = key.find(':');
  const std::string_view unshifted = without_shift(key);
  const auto without_task = [&](std::string_view s) {
    return task_end == std::string_view::npos ? s : s.substr(task_end + 1);
  };
  for (const std::string_view candidate :
       {key, unshifted, without_task(key), without_task(unshifted)}) {
    if (const auto found = k_.find(std::string(candidate)); found != k_.end()) {
      Decision d;
      d.budget.k = found->second;
      return d;
    }
  }
  throw PolicyError(fmt::format("{}: has no k for {} ({} entries)", file_, key, k_.size()));
}

}  // namespace engine
