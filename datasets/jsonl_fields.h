// Owns what the readers of JSON Lines data sets share: taking a text field, and one message for all
// bad lines of a file.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "datasets/jsonl.h"

namespace datasets {

// Collects what is wrong with the lines of one file: the first in full, the rest as a count.
class LineProblems {
 public:
  LineProblems(std::string file, size_t n_lines) : file_(std::move(file)), n_lines_(n_lines) {}
  void add(size_t line, std::string_view what);
  void throw_if_any() const;  // DataError

 private:
  std::string file_;
  size_t n_lines_;
  size_t n_bad_ = 0;
  std::string first_;
};

// Copies a string field; returns what is wrong, or nothing.
std::string take_text(const JsonObject&, std::string_view name, bool may_be_empty,
                      std::string& out);

// ASCII identifiers only: such a name is put into a program that runs.
bool is_identifier(std::string_view);

}  // namespace datasets
