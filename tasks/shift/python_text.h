// Owns where Python text is code, and where it is a string or a comment. Internal to tasks/.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace tasks::shift {

enum class PythonPart : char { code, string, comment };

// One mark per byte; quotes belong to their string.
std::vector<PythonPart> python_parts(std::string_view program);

// Places where `name` stands as a whole identifier.
std::vector<size_t> places_of_name(std::string_view program, std::string_view name);

// The documentation string of a function: its text between the quotes, and the quotes.
struct Docstring {
  size_t begin = 0, end = 0;  // of the text
  size_t quotes = 0;          // 3 before and 3 behind
};
struct PythonFunction {
  size_t def_line = 0;   // first byte of the line
  size_t body_line = 0;  // first byte of the line after the signature
  bool has_docstring = false;
  Docstring docstring;
};
// Of the last function named so that is defined at the left margin; false without one.
bool find_function(std::string_view program, std::string_view name, PythonFunction*);

}  // namespace tasks::shift
