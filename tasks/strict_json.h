// Owns the strict reading of JSON files that people write: task files, gate policies. Every error
// is one line that names file, JSON pointer, what is there and what is wanted, with the nearest
// known key or value.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tasks {

// A file of this kind is wrong, or a task's name. Exit code 2.
class TaskError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The bytes of such a file. Throws TaskError.
std::string read_config_file(const std::string& path);

// One JSON object of the file. Every key it may have is known before the first one is read, so
// that a misspelt key is reported as such and not as a missing one. Values that a reader asks for
// with a default are filled in: dump() is the file as it was understood.
class StrictObject {
 public:
  // A whole file. Besides bad JSON refuses double keys, more than 1 MiB and deep nesting.
  static StrictObject parse(std::string_view text, const std::string& file,
                            std::vector<std::string> known_keys);
  // The string under one key of the file, or empty: for files whose known keys depend on it.
  static std::string peek_text(std::string_view text, const std::string& file,
                               const std::string& key);
  StrictObject(const StrictObject&) = delete;
  StrictObject(StrictObject&&) noexcept;
  StrictObject& operator=(StrictObject&&) noexcept;
  ~StrictObject();

  bool has(const std::string& key) const;

  std::string text(const std::string& key) const;
  std::string text(const std::string& key, const std::string& missing);
  bool truth(const std::string& key, bool missing);
  int integer(const std::string& key, int missing, int low, int high);
  double number(const std::string& key, double missing, double low, double high);
  double number(const std::string& key, double low, double high) const;
  std::vector<std::string> texts(const std::string& key) const;
  // The enumerator whose index is that of the name.
  template <typename Enum>
  Enum one_of(const std::string& key, const std::vector<std::string>& names, Enum missing) {
    return static_cast<Enum>(index_in(key, names, static_cast<size_t>(missing)));
  }

  StrictObject object(const std::string& key, std::vector<std::string> known_keys) const;
  // An array of objects.
  std::vector<StrictObject> objects(const std::string& key,
                                    const std::vector<std::string>& known_keys) const;

  void put(const std::string& key, const StrictObject& child);
  void put(const std::string& key, const std::vector<StrictObject>& children);
  std::string dump(int indent = -1) const;

  // Throws TaskError: "FILE: POINTER/key: problem"; an empty key means the object itself.
  [[noreturn]] void fail(std::string_view key, const std::string& problem) const;

 private:
  StrictObject(std::string file, std::string pointer, const nlohmann::json& value,
               std::vector<std::string> known_keys);
  const nlohmann::json& need(const std::string& key) const;
  size_t index_in(const std::string& key, const std::vector<std::string>& names, size_t missing);

  std::string file_, pointer_;
  std::vector<std::string> known_keys_;
  std::unique_ptr<nlohmann::json> value_;
};

}  // namespace tasks
