// Owns the way to the committed reference values under tests/tasks/golden: one top-level key of a
// file, as a copy.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace tasks {

inline nlohmann::json read_golden(const std::string& name, const std::string& key) {
  const std::string path = std::string(MOEVAL_SOURCE_DIR "/tests/tasks/golden/") + name;
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot open " + path);
  return nlohmann::json::parse(in).at(key);
}

}  // namespace tasks
