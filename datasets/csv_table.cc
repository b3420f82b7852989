#include "datasets/csv_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "datasets/data_error.h"
#include "datasets/input_bytes.h"

namespace datasets {

CsvTable::CsvTable(std::string_view bytes, std::string file, char delimiter)
    : file_(std::move(file)), records_(parse_csv(bytes, file_, {}, delimiter)) {}

size_t CsvTable::column(std::string_view name) const {
  const auto& names = records_.front().fields;
  const auto n = std::count(names.begin(), names.end(), name);
  if (n != 1)
    throw DataError(fmt::format("{}:{}: {} column {}", file_, records_.front().line,
                                n == 0 ? "no" : "more than one",
                                name.empty() ? "without a name" : name));
  return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

const std::string& CsvTable::cell(size_t row, size_t column) const {
  const auto& fields = records_[row + 1].fields;
  if (fields.size() != records_.front().fields.size())
    fail(row, fmt::format("{} fields, the header has {}", fields.size(),
                          records_.front().fields.size()));
  return fields[column];
}

const std::string& CsvTable::text(size_t row, size_t column, std::string_view name) const {
  const std::string& t = cell(row, column);
  if (t.empty()) fail(row, fmt::format("the {} is empty", name));
  return t;
}

const std::string& CsvTable::word(size_t row, size_t column, std::string_view name) const {
  const std::string& w = cell(row, column);
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  if (w.empty() || w.size() > 80 || !std::all_of(w.begin(), w.end(), fits))
    fail(row, fmt::format("{} is {}, want 1 to 80 letters, digits, _ or -", name, printable(w)));
  return w;
}

void CsvTable::fail(size_t row, const std::string& what) const {
  throw DataError(fmt::format("{}:{}: {}", file_, records_[row + 1].line, what));
}

}  // namespace datasets
