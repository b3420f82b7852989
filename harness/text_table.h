// Owns TextTable: rows of cells as an aligned terminal table or a Markdown one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace harness {

enum class Align { left, right };

class TextTable {
 public:
  struct Column {
    std::string title;
    Align align = Align::left;
  };
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> cells);  // as many as columns
  bool empty() const { return rows_.empty(); }
  std::string terminal() const;
  std::string markdown() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Columns that a string takes on a terminal.
size_t display_width(std::string_view);

// Text from models and files made safe for a terminal: control characters become \n, \t, \xNN.
std::string printable(std::string_view);

// 1234567 -> "1.23 M"; FLOPs, bytes and the like. "n/a" stays the caller's business.
std::string si(double value);
std::string percent(double share);  // 0.123 -> "12.3%"
// 12.3 s, 4 min 05 s, 2 h 03 min
std::string duration(double seconds);

}  // namespace harness
