// Owns the CSV reader: RFC 4180 on bytes, strict, one pass. Nothing is trimmed, no text is taken
// for a missing value, no Unicode line break ends a record.
//
// Accepted beyond the RFC: LF as well as CRLF, a UTF-8 byte order mark, no final newline, and a `"`
// inside or at the end of an *unquoted* field, which is literal text (MMLU's
// val/college_medicine_val.csv, record 6).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace datasets {

struct CsvLimits {
  size_t max_record_bytes = size_t{4} << 20;  // one record, its line breaks included
  size_t max_fields = 1024;                   // in one record
  size_t max_records = 4'000'000;
};

struct CsvRecord {
  size_t line = 0;  // where the record starts, from 1; physical lines
  std::vector<std::string> fields;
};

// `name` opens every message; `delimiter` is an ASCII character other than a quote or line break.
// DataError with file, line or byte, and the value found: empty input, NUL, invalid UTF-8,
// unterminated quote (with the line where it opens), text after a closing quote, CR without LF
// outside quotes, or a limit.
std::vector<CsvRecord> parse_csv(std::string_view bytes, const std::string& name,
                                 const CsvLimits& = {}, char delimiter = ',');

}  // namespace datasets
