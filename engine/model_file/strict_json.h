// Owns strict reading of small untrusted JSON files. For .cc files of engine only: it names a
// JSON type.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace engine {

// Strict UTF-8, no duplicate keys, nesting at most max_depth. Throws ModelFileError.
nlohmann::json parse_strict_json(std::string_view text, const std::string& file, int max_depth);

// The whole file, at most max_bytes. Throws ModelFileError.
nlohmann::json read_strict_json(const std::filesystem::path&, uint64_t max_bytes, int max_depth);

// Typed access to the members of one object. A member that is null counts as absent. Throws
// ModelFileError naming file, field and value when a member has another type or range.
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string file, std::string prefix = "");

  const nlohmann::json* find(const char* key) const;  // nullptr if absent or null
  std::optional<int64_t> find_int(const char* key, int64_t min, int64_t max) const;
  std::optional<float> find_float(const char* key) const;  // finite as a float
  std::optional<bool> find_bool(const char* key) const;
  std::optional<std::string> find_string(const char* key) const;
  std::optional<JsonFields> find_object(const char* key) const;

  // Members other than these, in any type, are refused with the nearest of them.
  void allow_only(std::initializer_list<std::string_view> known) const;

  int64_t require_int(const char* key, int64_t min, int64_t max) const;
  float require_float(const char* key) const;
  std::string require_string(const char* key) const;

  [[noreturn]] void fail(const char* key, std::string_view text) const;

 private:
  const nlohmann::json* object_;
  std::string file_, prefix_;
};

}  // namespace engine
