#include "engine/model_file/strict_json.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "engine/model_file/byte_source.h"
#include "engine/model_file/printable.h"
#include "engine/model_file_error.h"
#include "engine/nearest_name.h"

namespace engine {

using nlohmann::json;

json parse_strict_json(std::string_view text, const std::string& file, int max_depth) {
  std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, json::parse_event_t event, json& value) {
    switch (event) {
      case json::parse_event_t::object_start:
        keys.emplace_back();
        [[fallthrough]];
      case json::parse_event_t::array_start:
        if (depth >= max_depth) {
          throw ModelFileError(fmt::format("{}: JSON nesting is deeper than {}", file, max_depth));
        }
        break;
      case json::parse_event_t::key: {
        const auto& key = value.get_ref<const std::string&>();
        if (!keys.back().insert(key).second) {
          throw ModelFileError(fmt::format("{}: duplicate JSON key {}", file, printable(key)));
        }
        break;
      }
      case json::parse_event_t::object_end:
        keys.pop_back();
        break;
      default:
        break;
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), check);
  } catch (const json::parse_error& e) {
    // The parser counts from 1, and the end as a byte of its own.
    if (e.byte > text.size()) {
      throw ModelFileError(
          fmt::format("{}: not valid JSON: it ends too early, after {} bytes", file, text.size()));
    }
    throw ModelFileError(
        fmt::format("{}: not valid JSON at byte {} of {}", file, e.byte, text.size()));
  } catch (const json::exception& e) {
    throw ModelFileError(fmt::format("{}: not valid JSON: a number is out of range", file));
  }
}

json read_strict_json(const std::filesystem::path& path, uint64_t max_bytes, int max_depth) {
  const auto source = ByteSource::open_file(path);
  if (source->size_bytes() > max_bytes) {
    throw ModelFileError(fmt::format("{}: has {} bytes, at most {} are read", source->name(),
                                     source->size_bytes(), max_bytes));
  }
  std::string text(source->size_bytes(), '\0');
  source->read(0, text.data(), text.size());
  return parse_strict_json(text, source->name(), max_depth);
}

JsonFields::JsonFields(const json& object, std::string file, std::string prefix)
    : object_(&object), file_(std::move(file)), prefix_(std::move(prefix)) {
  if (!object.is_object()) {
    throw ModelFileError(fmt::format("{}: {} is a JSON {}, want an object", file_,
                                     prefix_.empty() ? "the top level" : prefix_,
                                     object.type_name()));
  }
}

void JsonFields::fail(const char* key, std::string_view text) const {
  throw ModelFileError(
      fmt::format("{}: {}{}{} {}", file_, prefix_, prefix_.empty() ? "" : ".", key, text));
}

const json* JsonFields::find(const char* key) const {
  const auto it = object_->find(key);
  return it == object_->end() || it->is_null() ? nullptr : &*it;
}

std::optional<int64_t> JsonFields::find_int(const char* key, int64_t min, int64_t max) const {
  const json* j = find(key);
  if (j == nullptr) return std::nullopt;
  if (!j->is_number_integer()) {
    fail(key, fmt::format("is a JSON {}, want an integer", j->type_name()));
  }
  const bool huge = j->is_number_unsigned() && j->get<uint64_t>() > uint64_t{INT64_MAX};
  const int64_t v = huge ? INT64_MAX : j->get<int64_t>();
  if (huge || v < min || v > max) {
    fail(key, fmt::format("is {}, want {} to {}", j->dump(), min, max));
  }
  return v;
}

std::optional<float> JsonFields::find_float(const char* key) const {
  const json* j = find(key);
  if (j == nullptr) return std::nullopt;
  if (!j->is_number()) fail(key, fmt::format("is a JSON {}, want a number", j->type_name()));
  const auto v = static_cast<float>(j->get<double>());
  if (!std::isfinite(v)) fail(key, fmt::format("is {}, want a finite float", j->dump()));
  return v;
}

std::optional<bool> JsonFields::find_bool(const char* key) const {
  const json* j = find(key);
  if (j == nullptr) return std::nullopt;
  if (!j->is_boolean()) fail(key, fmt::format("is a JSON {}, want a boolean", j->type_name()));
  return j->get<bool>();
}

std::optional<std::string> JsonFields::find_string(const char* key) const {
  const json* j = find(key);
  if (j == nullptr) return std::nullopt;
  if (!j->is_string()) fail(key, fmt::format("is a JSON {}, want a string", j->type_name()));
  return j->get<std::string>();
}

std::optional<JsonFields> JsonFields::find_object(const char* key) const {
  const json* j = find(key);
  if (j == nullptr) return std::nullopt;
  return JsonFields(*j, file_, prefix_.empty() ? key : prefix_ + "." + key);
}

void JsonFields::allow_only(std::initializer_list<std::string_view> known) const {
  for (const auto& [key, value] : object_->items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    throw ModelFileError(fmt::format("{}: {}unknown key {}, nearest: {}; known: {}", file_,
                                     prefix_.empty() ? "" : prefix_ + ": ", printable(key),
                                     nearest_name(key, known).name, fmt::join(known, ", ")));
  }
}

int64_t JsonFields::require_int(const char* key, int64_t min, int64_t max) const {
  const auto v = find_int(key, min, max);
  if (!v) fail(key, "is missing");
  return *v;
}

float JsonFields::require_float(const char* key) const {
  const auto v = find_float(key);
  if (!v) fail(key, "is missing");
  return *v;
}

std::string JsonFields::require_string(const char* key) const {
  auto v = find_string(key);
  if (!v) fail(key, "is missing");
  return *std::move(v);
}

}  // namespace engine
