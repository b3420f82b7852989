// Owns CsvTable: a CSV file whose first record names the columns.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/csv.h"

namespace datasets {

// Rows count from 0, behind the header. Every DataError names file and line.
class CsvTable {
 public:
  CsvTable(std::string_view bytes, std::string file, char delimiter = ',');

  size_t column(std::string_view name) const;  // DataError: no such column, or two
  size_t size() const { return records_.size() - 1; }
  // DataError: the row has not as many fields as the header.
  const std::string& cell(size_t row, size_t column) const;
  // A cell that is not empty; `name` is for the message.
  const std::string& text(size_t row, size_t column, std::string_view name) const;
  // Part of an id: letters, digits, '_' and '-'.
  const std::string& word(size_t row, size_t column, std::string_view name) const;
  [[noreturn]] void fail(size_t row, const std::string& what) const;

 private:
  std::string file_;
  std::vector<CsvRecord> records_;
};

}  // namespace datasets
