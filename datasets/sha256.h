// Owns SHA-256 of bytes and files, as lower-case hex.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace datasets {

std::string sha256_hex(std::string_view bytes);
// Throws DataError when the file cannot be read.
std::string sha256_file(const std::filesystem::path&);

}  // namespace datasets
