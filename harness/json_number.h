// Owns how a figure that may be missing is written in JSON: as null.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace harness {

nlohmann::json json_number(const std::optional<double>&);

}  // namespace harness
