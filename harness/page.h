// Owns Page: headings, lines and tables put together, for a terminal or as Markdown.
#pragma once

#include <fmt/format.h>

#include <string>

#include "harness/commands.h"
#include "harness/text_table.h"

namespace harness {

class Page {
 public:
  explicit Page(Format format) : markdown_(format == Format::markdown) {}
  void heading(const std::string& text, int level) {
    out_ += markdown_
                ? fmt::format("\n{} {}\n\n", std::string(static_cast<size_t>(level), '#'), text)
                : fmt::format("\n{}\n\n", text);
  }
  void line(const std::string& text) { out_ += text + (markdown_ ? "\n\n" : "\n"); }
  // Sentences: wrapped for a terminal, a paragraph in Markdown.
  void prose(const std::string& text);
  void item(const std::string& text) { out_ += (markdown_ ? "- " : "  * ") + text + "\n"; }
  void table(const TextTable& t) {
    if (!t.empty()) out_ += markdown_ ? t.markdown() : t.terminal();
  }
  std::string take() { return std::move(out_); }

 private:
  bool markdown_;
  std::string out_;
};

}  // namespace harness
