#include "tasks/shift/python_text.h"

#include <fmt/format.h>

#include <string>

#include "tasks/shift/words.h"

namespace tasks::shift {
namespace {

bool in_name(char c) { return is_letter(c) || is_digit(c) || c == '_'; }

}  // namespace

std::vector<PythonPart> python_parts(std::string_view s) {
  std::vector<PythonPart> out(s.size(), PythonPart::code);
  for (size_t i = 0; i < s.size();) {
    if (s[i] == '#') {
      while (i < s.size() && s[i] != '\n') out[i++] = PythonPart::comment;
      continue;
    }
    if (s[i] != '"' && s[i] != '\'') {
      ++i;
      continue;
    }
    const std::string one(1, s[i]), three(3, s[i]);
    const std::string& close = s.substr(i).starts_with(three) ? three : one;
    size_t end = i + close.size();
    while (end < s.size() && !s.substr(end).starts_with(close)) {
      if (close == one && s[end] == '\n') break;
      end += s[end] == '\\' ? 2 : 1;
    }
    end = std::min(s.size(), end + (end < s.size() && s[end] != '\n' ? close.size() : 0));
    while (i < end) out[i++] = PythonPart::string;
  }
  return out;
}

std::vector<size_t> places_of_name(std::string_view s, std::string_view name) {
  std::vector<size_t> out;
  for (size_t at = s.find(name); at != std::string_view::npos; at = s.find(name, at + 1)) {
    const size_t end = at + name.size();
    if ((at == 0 || !in_name(s[at - 1])) && (end == s.size() || !in_name(s[end])))
      out.push_back(at);
  }
  return out;
}

bool find_function(std::string_view s, std::string_view name, PythonFunction* f) {
  const std::string opening = fmt::format("def {}(", name);
  const auto parts = python_parts(s);
  size_t at = s.rfind(opening);
  while (at != std::string_view::npos &&
         (parts[at] != PythonPart::code || (at > 0 && s[at - 1] != '\n')))
    at = at == 0 ? std::string_view::npos : s.rfind(opening, at - 1);
  if (at == std::string_view::npos) return false;
  f->def_line = at;
  // The signature ends with the first line that ends in a colon.
  size_t end = s.find('\n', at);
  while (end != std::string_view::npos) {
    size_t last = end;
    while (last > at && is_blank(s[last - 1])) --last;
    if (s[last - 1] == ':') break;
    end = s.find('\n', end + 1);
  }
  if (end == std::string_view::npos) return false;
  f->body_line = end + 1;
  const size_t open = s.find_first_not_of(" \t\n", f->body_line);
  f->has_docstring = false;
  if (open == std::string_view::npos) return true;
  const std::string_view quotes = s.substr(open, 3);
  if (quotes != "\"\"\"" && quotes != "'''") return true;
  size_t close = open + 3;
  while (close < s.size() && parts[close] == PythonPart::string && s.substr(close, 3) != quotes)
    close += s[close] == '\\' ? 2 : 1;
  if (close >= s.size() || s.substr(close, 3) != quotes) return true;
  f->has_docstring = true;
  f->docstring = {open + 3, close, open};
  return true;
}

}  // namespace tasks::shift
