// Owns the JSON Lines reader: one object a line, plain or gzip. Numbers keep all their digits.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/input_bytes.h"

namespace datasets {

struct JsonlLimits {
  size_t max_line_bytes = size_t{4} << 20;  // HumanEval+ has lines of 503,079 bytes
  size_t max_lines = 4'000'000;
  int max_depth = 16;  // the object of the line is depth 1
};

struct JsonField {
  enum class Kind { string, number, boolean, null, array, object };
  std::string name;
  Kind kind = Kind::null;
  // string: decoded. Else JSON text; numbers with every digit they were written with, also beyond
  // 64 bits (integers up to 308 digits; what a double cannot hold at all is a DataError).
  std::string text;
};
std::string_view kind_name(JsonField::Kind);

struct JsonObject {
  size_t line = 0;  // from 1
  std::vector<JsonField> fields;
  const JsonField* find(std::string_view name) const;  // null when absent
};

// `bytes` may be gzip. Blank lines are skipped (as the reference reader of HumanEval does), a byte
// order mark and CRLF are accepted. DataError with file and line: no object at all, a line that is
// not one JSON object, a truncated last line, a name twice in one object, NUL (also as \u0000),
// invalid UTF-8, or a limit.
std::vector<JsonObject> parse_jsonl(std::string_view bytes, const std::string& name,
                                    const JsonlLimits& = {}, const InputLimits& = {});

}  // namespace datasets
