#include "harness/json_number.h"

#include <nlohmann/json.hpp>

namespace harness {

nlohmann::json json_number(const std::optional<double>& x) {
  return x ? nlohmann::json(*x) : nlohmann::json();
}

}  // namespace harness
