// Owns the built-in task files, compiled into the program from tasks/definitions/*.json.
#pragma once

#include <string_view>
#include <vector>

namespace tasks {

struct Definition {
  std::string_view name;  // the file's stem, equal to its "task" key
  std::string_view json;
};
const std::vector<Definition>& definitions();

}  // namespace tasks
