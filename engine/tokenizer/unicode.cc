// Owns the tokenizers' view of Unicode.
#include "engine/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

namespace engine::tokenizer {
namespace {

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

CharClass classify_by_category(char32_t code) {
  if (code == '\r' || code == '\n') return CharClass::newline;
  if (is_white_space(code)) return CharClass::space;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::number;
    default:
      return CharClass::other;
  }
}

std::array<CharClass, 128> make_ascii_classes() {
  std::array<CharClass, 128> table;
  for (char32_t c = 0; c < table.size(); ++c) table[c] = classify_by_category(c);
  return table;
}

// Canonical decomposition, marks in canonical order, then composition: of valid code points.
void compose(std::vector<utf8proc_int32_t>& codes) {
  std::vector<utf8proc_int32_t> full;
  full.reserve(codes.size() + codes.size() / 4);
  std::array<utf8proc_int32_t, 32> parts;
  for (utf8proc_int32_t code : codes) {
    const utf8proc_ssize_t n =
        utf8proc_decompose_char(code, parts.data(), parts.size(), UTF8PROC_DECOMPOSE, nullptr);
    if (n < 0 || n > static_cast<utf8proc_ssize_t>(parts.size())) {
      full.push_back(code);
    } else {
      full.insert(full.end(), parts.begin(), parts.begin() + n);
    }
  }
  const auto mark_class = [](utf8proc_int32_t c) {
    return utf8proc_get_property(c)->combining_class;
  };
  // utf8proc's own ordering is quadratic in the length of a run of marks.
  for (size_t i = 0; i < full.size();) {
    if (mark_class(full[i]) == 0) {
      ++i;
      continue;
    }
    size_t end = i + 1;
    while (end < full.size() && mark_class(full[end]) != 0) ++end;
    std::stable_sort(full.begin() + static_cast<ptrdiff_t>(i),
                     full.begin() + static_cast<ptrdiff_t>(end),
                     [&](auto a, auto b) { return mark_class(a) < mark_class(b); });
    i = end;
  }
  const utf8proc_ssize_t n =
      utf8proc_normalize_utf32(full.data(), static_cast<utf8proc_ssize_t>(full.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (n >= 0) {
    full.resize(static_cast<size_t>(n));
    codes = std::move(full);
  }
}

}  // namespace

Decoded decode_utf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const size_t left = text.size() - at;
  const unsigned char b0 = byte(0);
  if (b0 < 0x80) return {b0, 1};
  const size_t size = b0 >= 0xF0 ? 4 : b0 >= 0xE0 ? 3 : 2;
  if (b0 < 0xC2 || b0 > 0xF4 || size > left) return {kInvalid, 1};
  char32_t code = b0 & (0xFF >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {kInvalid, 1};
    code = (code << 6) | (byte(i) & 0x3F);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[size] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
    return {kInvalid, 1};
  }
  return {code, size};
}

void append_utf8(std::string& to, char32_t code) {
  if (code < 0x80) {
    to += static_cast<char>(code);
    return;
  }
  if (code < 0x800) {
    to += static_cast<char>(0xC0 | (code >> 6));
  } else {
    if (code < 0x10000) {
      to += static_cast<char>(0xE0 | (code >> 12));
    } else {
      to += static_cast<char>(0xF0 | (code >> 18));
      to += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    }
    to += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
  }
  to += static_cast<char>(0x80 | (code & 0x3F));
}

CharClass classify(char32_t code) {
  static const std::array<CharClass, 128> ascii = make_ascii_classes();
  if (code < 128) return ascii[code];
  if (code > 0x10FFFF) return CharClass::other;
  return classify_by_category(code);
}

bool is_punctuation(char32_t code) {
  if (code > 0x10FFFF) return false;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

std::vector<Char> decode_chars(std::string_view text) {
  std::vector<Char> chars;
  chars.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Decoded d = decode_utf8(text, at);
    chars.push_back({d.code, classify(d.code), at});
    at += d.size;
  }
  return chars;
}

std::string to_nfc(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; })) {
    return std::string(text);
  }
  std::string out;
  out.reserve(text.size());
  std::vector<utf8proc_int32_t> run;
  const auto flush = [&] {
    compose(run);
    for (utf8proc_int32_t code : run) append_utf8(out, static_cast<char32_t>(code));
    run.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const Decoded d = decode_utf8(text, at);
    if (d.code == kInvalid) {
      flush();
      out += text[at];
    } else {
      run.push_back(static_cast<utf8proc_int32_t>(d.code));
    }
    at += d.size;
  }
  flush();
  return out;
}

size_t trailing_space_bytes(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && end - begin < 4 && (text[begin] & 0xC0) == 0x80) --begin;
    const Decoded d = decode_utf8(text, begin);
    if (d.code == kInvalid || begin + d.size != end || !is_space(classify(d.code))) break;
    end = begin;
  }
  return text.size() - end;
}

size_t leading_space_bytes(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Decoded d = decode_utf8(text, at);
    if (d.code == kInvalid || !is_space(classify(d.code))) break;
    at += d.size;
  }
  return at;
}

}  // namespace engine::tokenizer
