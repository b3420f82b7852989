#include "datasets/csv.h"

#include <fmt/format.h>

#include "datasets/data_error.h"
#include "datasets/input_bytes.h"

namespace datasets {
namespace {

class CsvParser {
 public:
  CsvParser(std::string_view bytes, const std::string& name, const CsvLimits& limits,
            char delimiter)
      : bytes_(bytes), name_(name), limits_(limits), delimiter_(delimiter) {}

  std::vector<CsvRecord> parse() {
    require_text(bytes_, name_);
    if (bytes_.starts_with("\xEF\xBB\xBF")) pos_ = 3;
    if (pos_ == bytes_.size()) throw DataError(name_ + ": empty file, no records");
    std::vector<CsvRecord> records;
    while (pos_ < bytes_.size()) {
      if (records.size() == limits_.max_records)
        throw DataError(
            fmt::format("{}:{}: more than {} records", name_, line_, limits_.max_records));
      records.push_back(record());
    }
    return records;
  }

 private:
  CsvRecord record() {
    CsvRecord r;
    r.line = line_;
    record_line_ = line_;
    record_begin_ = pos_;
    while (true) {
      if (r.fields.size() == limits_.max_fields)
        throw DataError(fmt::format("{}:{}: more than {} fields in a record", name_, line_,
                                    limits_.max_fields));
      r.fields.push_back(at('"') ? quoted() : unquoted());
      if (at(delimiter_)) {
        ++pos_;
        continue;
      }
      if (at('\r')) ++pos_;  // unquoted() and quoted() stop at CR only before LF
      if (at('\n')) {
        ++pos_;
        ++line_;
      }
      return r;
    }
  }

  std::string unquoted() {
    const size_t begin = pos_;
    for (; pos_ < bytes_.size(); ++pos_) {
      const char c = bytes_[pos_];
      if (c == delimiter_ || c == '\n') break;
      if (c == '\r') {
        if (pos_ + 1 < bytes_.size() && bytes_[pos_ + 1] == '\n') break;
        throw DataError(
            fmt::format("{}:{}: byte {}: carriage return without line feed", name_, line_, pos_));
      }
      check_length();
    }
    return std::string(bytes_.substr(begin, pos_ - begin));
  }

  std::string quoted() {
    const size_t open_line = line_;
    std::string text;
    size_t begin = ++pos_;
    for (; pos_ < bytes_.size(); ++pos_) {
      check_length();
      if (bytes_[pos_] == '\n') ++line_;
      if (bytes_[pos_] != '"') continue;
      text.append(bytes_, begin, pos_ - begin);
      ++pos_;
      if (!at('"')) {
        const bool ends = pos_ == bytes_.size() || at(delimiter_) || at('\n') ||
                          (at('\r') && bytes_.substr(pos_).starts_with("\r\n"));
        if (ends) return text;
        throw DataError(fmt::format("{}:{}: byte {}: 0x{:02x} after the closing quote of a field",
                                    name_, line_, pos_, static_cast<unsigned char>(bytes_[pos_])));
      }
      begin = pos_;  // the second of a doubled quote is text
    }
    throw DataError(fmt::format("{}:{}: quoted field is never closed (the file ends at line {})",
                                name_, open_line, line_));
  }

  void check_length() const {
    if (pos_ - record_begin_ >= limits_.max_record_bytes)
      throw DataError(fmt::format("{}:{}: record longer than {} bytes", name_, record_line_,
                                  limits_.max_record_bytes));
  }

  bool at(char c) const { return pos_ < bytes_.size() && bytes_[pos_] == c; }

  std::string_view bytes_;
  const std::string& name_;
  const CsvLimits& limits_;
  char delimiter_;
  size_t pos_ = 0;
  size_t line_ = 1;
  size_t record_begin_ = 0;
  size_t record_line_ = 1;
};

}  // namespace

std::vector<CsvRecord> parse_csv(std::string_view bytes, const std::string& name,
                                 const CsvLimits& limits, char delimiter) {
  return CsvParser(bytes, name, limits, delimiter).parse();
}

}  // namespace datasets
