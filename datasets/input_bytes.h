// Owns how bytes enter: a regular file read whole, a gzip stream undone, text checked to be UTF-8.
// Everything read here is hostile: no size is believed before the bytes have been seen.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace datasets {

struct InputLimits {
  size_t max_file_bytes = size_t{256} << 20;
  size_t max_plain_bytes = size_t{256} << 20;  // after gzip
  size_t max_gzip_ratio = 200;                 // plain bytes per gzip byte, above 1 MiB of plain
};

// Whole regular file. A folder, FIFO, device, unreadable, empty or too long file is a DataError.
std::string read_file(const std::filesystem::path&, const InputLimits& = {});

bool is_gzip(std::string_view bytes);  // by its magic number, never by its name

// Undoes gzip (one member or several). Ends early, trailing bytes, damage or a limit: DataError.
std::string gunzip(std::string_view bytes, const std::string& name, const InputLimits& = {});

// Byte offset of the first byte that is not part of well-formed UTF-8 (RFC 3629: no overlong forms,
// no surrogates, at most U+10FFFF).
std::optional<size_t> find_invalid_utf8(std::string_view bytes);

// Throws DataError with the byte offset and line of the first NUL or invalid UTF-8.
void require_text(std::string_view bytes, const std::string& name);

// For messages: in double quotes, control and non-ASCII bytes as \xNN, cut after `max_bytes`.
std::string printable(std::string_view text, size_t max_bytes = 60);

}  // namespace datasets
