// Owns nearest_name(): what somebody most likely meant who wrote a name that nobody knows.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace engine {

// The known name with the fewest insertions, deletions and changes of a byte from `written`, the
// first of equals; known is not empty.
struct NearestName {
  std::string_view name;
  size_t distance = 0;
  // Close enough to be a slip: a third of the bytes, or one.
  bool likely = false;
};
NearestName nearest_name(std::string_view written, const std::vector<std::string_view>& known);

}  // namespace engine
