#include "datasets/python_list.h"

#include <fmt/format.h>

#include <charconv>

#include "datasets/input_bytes.h"

namespace datasets {
namespace {

void python_append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

class PythonListReader {
 public:
  explicit PythonListReader(std::string_view text) : text_(text) {}

  std::string read(std::vector<std::string>& out) {
    skip_blanks();
    if (!take('[')) return expected("[");
    skip_blanks();
    for (bool is_first = true; !take(']'); is_first = false) {
      if (!is_first && !take(',')) return expected(", or ]");
      skip_blanks();
      if (std::string problem = literal(out.emplace_back()); !problem.empty()) return problem;
      skip_blanks();
    }
    skip_blanks();
    return pos_ == text_.size() ? "" : expected("the end");
  }

 private:
  std::string literal(std::string& out) {
    const char quote = take('\'') ? '\'' : take('"') ? '"' : '\0';
    if (quote == '\0') return expected("a quote");
    while (!take(quote)) {
      if (pos_ == text_.size() || text_[pos_] == '\n' || text_[pos_] == '\r')
        return expected("the end of a string");
      if (!take('\\'))
        out += text_[pos_++];
      else if (std::string problem = escape(out); !problem.empty())
        return problem;
    }
    return "";
  }

  std::string escape(std::string& out) {
    constexpr std::string_view kNames = "\\'\"nrt", kMeant = "\\'\"\n\r\t";
    const char c = pos_ < text_.size() ? text_[pos_] : '\0';
    if (const size_t i = kNames.find(c); i != std::string_view::npos) {
      out += kMeant[i];
      ++pos_;
      return "";
    }
    const size_t n_digits = c == 'x' ? 2 : c == 'u' ? 4 : 0;
    const std::string_view digits = n_digits == 0 ? "" : text_.substr(pos_ + 1, n_digits);
    unsigned code = 0;
    const char* end = digits.data() + digits.size();
    if (n_digits == 0 || digits.size() != n_digits ||
        std::from_chars(digits.data(), end, code, 16).ptr != end)
      return expected("an escape");
    if (code == 0 || (code >= 0xD800 && code <= 0xDFFF)) return expected("a character");
    pos_ += 1 + n_digits;
    python_append_utf8(out, code);
    return "";
  }

  bool take(char c) {
    if (pos_ == text_.size() || text_[pos_] != c) return false;
    ++pos_;
    return true;
  }
  void skip_blanks() {
    while (take(' ')) {
    }
  }
  std::string expected(std::string_view what) const {
    return fmt::format("byte {}: {}, expected {}", pos_,
                       pos_ == text_.size() ? "the text ends" : printable(text_.substr(pos_, 8)),
                       what);
  }

  std::string_view text_;
  size_t pos_ = 0;
};

}  // namespace

std::string read_python_strings(std::string_view text, std::vector<std::string>& out) {
  return PythonListReader(text).read(out);
}

}  // namespace datasets
