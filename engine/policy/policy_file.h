// Owns reading the files of policies: their bytes are read once, for parsing and for their hash.
// For .cc files of engine/policy only: it names a JSON type.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "engine/model_file/strict_json.h"
#include "engine/policy/policy_spec.h"

namespace engine {

// The whole file, at most max_bytes. Throws ModelFileError.
std::string read_policy_file(const std::filesystem::path&, uint64_t max_bytes);

// Throws ModelFileError unless `format` says what it must.
void check_format(const JsonFields&, std::string_view format);

// Throws PolicyMismatch naming both hashes.
void check_model(const std::string& file, const std::string& made_for, const PolicyContext&);

}  // namespace engine
