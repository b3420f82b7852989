#include "harness/text_table.h"

#include <fmt/format.h>

#include <cassert>
#include <cmath>

namespace harness {

size_t display_width(std::string_view s) {
  size_t n = 0;
  for (const char c : s) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

void TextTable::add(std::vector<std::string> cells) {
  assert(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

namespace {

std::string pad(std::string_view s, size_t width, Align align) {
  const size_t w = display_width(s);
  const std::string fill(width > w ? width - w : 0, ' ');
  return align == Align::right ? fill + std::string(s) : std::string(s) + fill;
}

}  // namespace

std::string TextTable::terminal() const {
  std::vector<size_t> width(columns_.size());
  for (size_t c = 0; c < columns_.size(); ++c) {
    width[c] = display_width(columns_[c].title);
    for (const auto& row : rows_) width[c] = std::max(width[c], display_width(row[c]));
  }
  const auto line = [&](auto&& cell) {
    std::string out;
    for (size_t c = 0; c < columns_.size(); ++c) {
      if (c) out += "  ";
      out += pad(cell(c), width[c], columns_[c].align);
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out + "\n";
  };
  std::string out = line([&](size_t c) { return columns_[c].title; });
  out += line([&](size_t c) { return std::string(width[c], '-'); });
  for (const auto& row : rows_) out += line([&](size_t c) { return row[c]; });
  return out;
}

std::string TextTable::markdown() const {
  const auto escaped = [](const std::string& s) {
    std::string out;
    for (const char c : s) {
      if (c == '|' || c == '\\') out += '\\';
      if (c == '<') {
        out += "&lt;";
        continue;
      }
      out += c == '\n' ? ' ' : c;
    }
    return out;
  };
  std::string out = "|", rule = "|";
  for (const auto& c : columns_) {
    out += " " + escaped(c.title) + " |";
    rule += c.align == Align::right ? " ---: |" : " --- |";
  }
  out += "\n" + rule + "\n";
  for (const auto& row : rows_) {
    out += "|";
    for (const auto& cell : row) out += " " + escaped(cell) + " |";
    out += "\n";
  }
  return out;
}

std::string printable(std::string_view s) {
  std::string out;
  for (size_t i = 0; i < s.size(); ++i) {
    const char c = s[i];
    const auto u = static_cast<unsigned char>(c);
    // U+0080 to U+009F, two bytes in UTF-8, are control characters too.
    const auto next = i + 1 < s.size() ? static_cast<unsigned char>(s[i + 1]) : 0;
    if (u == 0xC2 && next >= 0x80 && next < 0xA0) {
      out += fmt::format("\\x{:02x}", next);
      ++i;
    } else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (u < 0x20 || u == 0x7F)
      out += fmt::format("\\x{:02x}", u);
    else
      out += c;
  }
  return out;
}

std::string si(double value) {
  static constexpr const char* kUnits[] = {"", "k", "M", "G", "T", "P", "E"};
  int u = 0;
  while (std::fabs(value) >= 999.5 && u < 6) {
    value /= 1000;
    ++u;
  }
  if (u == 0 && value == std::floor(value)) return fmt::format("{:.0f}", value);
  return fmt::format("{:.3g}{}{}", value, u ? " " : "", kUnits[u]);
}

std::string percent(double share) { return fmt::format("{:.1f}%", 100 * share); }

std::string duration(double seconds) {
  if (seconds < 0.0995) return fmt::format("{:.3g} ms", seconds * 1e3);
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const auto s = static_cast<int64_t>(std::llround(seconds));
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} h {:02} min", s / 3600, s / 60 % 60);
}

}  // namespace harness
