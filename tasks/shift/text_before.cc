#include "tasks/shift/text_before.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tasks::shift {

Edit text_before(const datasets::Sample& s, std::string_view text, std::string_view gap,
                 const char* rule) {
  std::string put;
  if (is_code(s)) {
    while (true) {
      const size_t end = text.find('\n');
      const auto line = text.substr(0, end);
      put += line.empty() ? "#\n" : fmt::format("# {}\n", line);
      if (end == std::string_view::npos) break;
      text.remove_prefix(end + 1);
    }
  } else {
    put = fmt::format("{}{}", text, gap);
  }
  return {Edit::Field::input, 0, 0, "", std::move(put), rule};
}

std::optional<std::string> text_put_before(const datasets::Sample& original,
                                           const datasets::Sample& shifted, std::string_view gap) {
  const std::string &item = original.input, &now = shifted.input;
  if (now.size() <= item.size() || !now.ends_with(item)) return std::nullopt;
  std::string put = now.substr(0, now.size() - item.size());
  if (!is_code(original)) {
    if (!put.ends_with(gap)) return std::nullopt;
    put.resize(put.size() - gap.size());
    return put;
  }
  std::string out;
  std::string_view rest = put;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos || rest[0] != '#') return std::nullopt;  // not a comment
    if (!out.empty() || rest.size() != put.size()) out += '\n';
    if (end > 2) out += rest.substr(2, end - 2);
    rest.remove_prefix(end + 1);
  }
  return out;
}

std::string wrapped(std::string_view text, size_t width) {
  std::string out(text);
  size_t line = 0, blank = std::string::npos;
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == '\n') {
      line = i + 1;
      blank = std::string::npos;
      continue;
    }
    if (i - line >= width && blank != std::string::npos) {
      out[blank] = '\n';
      line = blank + 1;
      blank = std::string::npos;
    }
    if (out[i] == ' ') blank = i;
  }
  return out;
}

std::string refers_back(std::string_view question) {
  static constexpr std::array kFirstWords = {"This",  "These", "That", "Those", "It",  "He",
                                             "She",   "They",  "Such", "Its",   "His", "Her",
                                             "Their", "Here",  "Both", "Then"};
  const std::string_view first = question.substr(
      0, question.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"));
  if (std::find(kFirstWords.begin(), kFirstWords.end(), first) == kFirstWords.end()) return {};
  return fmt::format("it begins with '{}', which would refer to what is put before it", first);
}

}  // namespace tasks::shift
