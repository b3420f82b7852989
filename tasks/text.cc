#include "tasks/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace tasks {
namespace {

struct CodePoint {
  char32_t value = 0xFFFD;
  size_t n_bytes = 1;
};

// One code point at the front; U+FFFD with one byte when the bytes are not UTF-8.
CodePoint decode(std::string_view s) {
  const auto lead = static_cast<uint8_t>(s[0]);
  if (lead < 0x80) return {lead, 1};
  const size_t n = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  if (n == 1 || s.size() < n) return {};
  char32_t value = lead & (0xFFu >> (n + 1));
  for (size_t i = 1; i < n; ++i) {
    const auto c = static_cast<uint8_t>(s[i]);
    if ((c & 0xC0) != 0x80) return {};
    value = value << 6 | (c & 0x3F);
  }
  return {value, n};
}

// str.isspace() of Python 3.
bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
    }
  }
  return row.back();
}

}  // namespace

std::string_view strip(std::string_view s) {
  while (!s.empty()) {
    const CodePoint c = decode(s);
    if (!is_space(c.value)) break;
    s.remove_prefix(c.n_bytes);
  }
  while (!s.empty()) {
    size_t start = s.size() - 1;
    while (start > 0 && s.size() - start < 4 && (static_cast<uint8_t>(s[start]) & 0xC0) == 0x80)
      --start;
    const CodePoint c = decode(s.substr(start));
    if (!is_space(c.value) || start + c.n_bytes != s.size()) break;
    s.remove_suffix(c.n_bytes);
  }
  return s;
}

size_t count_characters(std::string_view s) {
  size_t n = 0;
  for (; !s.empty(); ++n) s.remove_prefix(decode(s).n_bytes);
  return n;
}

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
  if (name.size() > 64) return {};
  std::string best;
  size_t best_distance = std::max<size_t>(2, name.size() / 2) + 1;
  for (const std::string& candidate : candidates) {
    const size_t d = edit_distance(name, candidate);
    if (d < best_distance) {
      best_distance = d;
      best = candidate;
    }
  }
  return best;
}

std::string quote(std::string_view s) {
  std::string out = "\"";
  for (const char c : s.substr(0, 80)) {
    const auto u = static_cast<uint8_t>(c);
    if (c == '\n')
      out += "\\n";
    else if (u < 0x20 || u == 0x7F)
      out += fmt::format("\\x{:02x}", u);
    else
      out += c;
  }
  return out + (s.size() > 80 ? "...\"" : "\"");
}

}  // namespace tasks
