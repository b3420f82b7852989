#include "tasks/strict_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "tasks/text.h"

namespace tasks {
namespace {

using nlohmann::json;

constexpr size_t kMaxFileBytes = size_t{1} << 20;
constexpr int kMaxDepth = 8;

std::string_view kind_of(const json& v) {
  switch (v.type()) {
    case json::value_t::null:
      return "null";
    case json::value_t::object:
      return "an object";
    case json::value_t::array:
      return "an array";
    case json::value_t::string:
      return "a string";
    case json::value_t::boolean:
      return "true or false";
    default:
      return "a number";
  }
}

// quote() without the quotes: names come from the file and must stay on one line.
std::string escaped(std::string_view s) {
  const std::string shown = quote(s);
  return shown.substr(1, shown.size() - 2);
}

json parse_json(std::string_view text, const std::string& file) {
  if (text.size() > kMaxFileBytes)
    throw TaskError(
        fmt::format("{}: has {} bytes, want at most {}", file, text.size(), kMaxFileBytes));
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const json::parser_callback_t check = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > kMaxDepth)
      throw TaskError(fmt::format("{}: is nested deeper than {} levels", file, kMaxDepth));
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key &&
        !keys.back().insert(value.get_ref<const std::string&>()).second)
      throw TaskError(fmt::format("{}: the key {} occurs twice in one object", file,
                                  quote(value.get_ref<const std::string&>())));
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::exception& e) {
    std::string_view what = e.what();
    what.remove_prefix(std::min(what.find("] ") + 2, what.size()));
    throw TaskError(fmt::format("{}: not JSON: {}", file, escaped(what)));
  }
}

}  // namespace

std::string read_config_file(const std::string& path) {
  // A directory opens as a stream and then fails to read; a FIFO would block.
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    throw TaskError(fmt::format("{}: {}", path, error ? error.message() : "not a regular file"));
  std::ifstream in(path, std::ios::binary);
  if (!in) throw TaskError(fmt::format("{}: {}", path, std::strerror(errno)));
  std::string text(kMaxFileBytes + 1, '\0');  // one more than it may have
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) throw TaskError(fmt::format("{}: {}", path, std::strerror(errno)));
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

StrictObject StrictObject::parse(std::string_view text, const std::string& file,
                                 std::vector<std::string> known_keys) {
  return StrictObject(file, "", parse_json(text, file), std::move(known_keys));
}

std::string StrictObject::peek_text(std::string_view text, const std::string& file,
                                    const std::string& key) {
  const json value = parse_json(text, file);
  const bool there = value.is_object() && value.contains(key) && value[key].is_string();
  return there ? value[key].get<std::string>() : std::string();
}

StrictObject::StrictObject(std::string file, std::string pointer, const json& value,
                           std::vector<std::string> known_keys)
    : file_(std::move(file)), pointer_(std::move(pointer)), known_keys_(std::move(known_keys)) {
  if (!value.is_object()) fail("", fmt::format("is {}, want an object", kind_of(value)));
  value_ = std::make_unique<json>(value);
  for (const auto& [key, unused] : value_->items()) {
    if (std::find(known_keys_.begin(), known_keys_.end(), key) != known_keys_.end()) continue;
    const std::string near = nearest(key, known_keys_);
    fail(key, near.empty()
                  ? fmt::format("unknown key, want one of {}", fmt::join(known_keys_, ", "))
                  : fmt::format("unknown key, the nearest known key is {}", quote(near)));
  }
}

StrictObject::StrictObject(StrictObject&&) noexcept = default;
StrictObject& StrictObject::operator=(StrictObject&&) noexcept = default;
StrictObject::~StrictObject() = default;

bool StrictObject::has(const std::string& key) const { return value_->contains(key); }

std::string StrictObject::text(const std::string& key) const {
  const json& v = need(key);
  if (!v.is_string()) fail(key, fmt::format("is {}, want a string", kind_of(v)));
  return v.get<std::string>();
}

std::string StrictObject::text(const std::string& key, const std::string& missing) {
  if (!has(key)) (*value_)[key] = missing;
  return text(key);
}

bool StrictObject::truth(const std::string& key, bool missing) {
  if (!has(key)) (*value_)[key] = missing;
  const json& v = need(key);
  if (!v.is_boolean()) fail(key, fmt::format("is {}, want true or false", kind_of(v)));
  return v.get<bool>();
}

int StrictObject::integer(const std::string& key, int missing, int low, int high) {
  if (!has(key)) (*value_)[key] = missing;
  const json& v = need(key);
  if (!v.is_number_integer()) fail(key, fmt::format("is {}, want an integer", kind_of(v)));
  // Unsigned values beyond int64 would wrap.
  const bool huge = v.is_number_unsigned() && v.get<uint64_t>() > INT32_MAX;
  const int64_t n = huge ? INT64_MAX : v.get<int64_t>();
  if (n < low || n > high) fail(key, fmt::format("is {}, want {} to {}", v.dump(), low, high));
  return static_cast<int>(n);
}

double StrictObject::number(const std::string& key, double missing, double low, double high) {
  if (!has(key)) (*value_)[key] = missing;
  return number(key, low, high);
}

double StrictObject::number(const std::string& key, double low, double high) const {
  const json& v = need(key);
  if (!v.is_number()) fail(key, fmt::format("is {}, want a number", kind_of(v)));
  const double x = v.get<double>();
  if (!(x >= low && x <= high)) fail(key, fmt::format("is {}, want {} to {}", v.dump(), low, high));
  return x;
}

std::vector<std::string> StrictObject::texts(const std::string& key) const {
  const json& v = need(key);
  if (!v.is_array()) fail(key, fmt::format("is {}, want an array of strings", kind_of(v)));
  std::vector<std::string> out;
  for (size_t i = 0; i < v.size(); ++i) {
    const std::string place = fmt::format("{}/{}", key, i);
    if (!v[i].is_string()) fail(place, fmt::format("is {}, want a string", kind_of(v[i])));
    out.push_back(v[i].get<std::string>());
    if (out.back().empty()) fail(place, "is empty, want at least one character");
  }
  return out;
}

StrictObject StrictObject::object(const std::string& key,
                                  std::vector<std::string> known_keys) const {
  return StrictObject(file_, pointer_ + "/" + key, need(key), std::move(known_keys));
}

std::vector<StrictObject> StrictObject::objects(const std::string& key,
                                                const std::vector<std::string>& known_keys) const {
  const json& v = need(key);
  if (!v.is_array()) fail(key, fmt::format("is {}, want an array of objects", kind_of(v)));
  std::vector<StrictObject> out;
  for (size_t i = 0; i < v.size(); ++i)
    out.push_back(StrictObject(file_, fmt::format("{}/{}/{}", pointer_, key, i), v[i], known_keys));
  return out;
}

void StrictObject::put(const std::string& key, const StrictObject& child) {
  (*value_)[key] = *child.value_;
}

void StrictObject::put(const std::string& key, const std::vector<StrictObject>& children) {
  json array = json::array();
  for (const StrictObject& c : children) array.push_back(*c.value_);
  (*value_)[key] = std::move(array);
}

std::string StrictObject::dump(int indent) const { return value_->dump(indent); }

void StrictObject::fail(std::string_view key, const std::string& problem) const {
  std::string place = pointer_;
  if (!key.empty()) place += fmt::format("/{}", key);
  throw TaskError(
      fmt::format("{}: {}: {}", file_, place.empty() ? "(whole file)" : escaped(place), problem));
}

const json& StrictObject::need(const std::string& key) const {
  const auto it = value_->find(key);
  if (it == value_->end()) fail(key, "is missing");
  return *it;
}

size_t StrictObject::index_in(const std::string& key, const std::vector<std::string>& names,
                              size_t missing) {
  const std::string name = text(key, names[missing]);
  const auto it = std::find(names.begin(), names.end(), name);
  if (it != names.end()) return static_cast<size_t>(it - names.begin());
  const std::string near = nearest(name, names);
  fail(key, fmt::format("is {}, want one of {}{}", quote(name), fmt::join(names, ", "),
                        near.empty() ? "" : fmt::format(" (nearest: {})", near)));
}

}  // namespace tasks
