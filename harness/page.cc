#include "harness/page.h"

#include <algorithm>

namespace harness {
namespace {

constexpr size_t kWidth = 96;  // columns of prose

}  // namespace

void Page::prose(const std::string& text) {
  if (markdown_) return line(text);
  std::string row;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (!row.empty() && display_width(row) + 1 + display_width(word) > kWidth) {
      line(row);
      row.clear();
    }
    row += (row.empty() ? "" : " ") + word;
    at = end + 1;
  }
  if (!row.empty()) line(row);
}

}  // namespace harness
