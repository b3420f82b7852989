// Owns the tokenizers' view of Unicode: UTF-8 in and out, the character classes that the known
// pre-tokenizers ask about, and canonical composition (NFC). Categories come from utf8proc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace engine::tokenizer {

// Classes are disjoint except that `newline` is a white space too: ask is_space().
enum class CharClass : uint8_t { letter, number, newline, space, other };

struct Char {
  char32_t code = 0;  // kInvalid for a byte that is not UTF-8
  CharClass cls = CharClass::other;
  size_t begin = 0;  // byte offset
};

inline constexpr char32_t kInvalid = 0xFFFFFFFF;

// One code point, strict (no surrogates, no overlong forms). A byte that begins none gives
// {kInvalid, 1}: text is never changed by decoding.
struct Decoded {
  char32_t code;
  size_t size;
};
Decoded decode_utf8(std::string_view text, size_t at);
void append_utf8(std::string& to, char32_t code);

// letter: \p{L}; number: \p{N}; newline: \r \n; space: other White_Space.
CharClass classify(char32_t code);
inline bool is_space(CharClass c) { return c == CharClass::space || c == CharClass::newline; }
bool is_punctuation(char32_t code);  // \p{P}

// Every code point of text with its class.
std::vector<Char> decode_chars(std::string_view text);

// Canonical composition; bytes that are not UTF-8 pass unchanged. O(n log n) even for long runs of
// combining marks. Unicode Standard Annex 15.
std::string to_nfc(std::string_view text);

// Bytes of white space at the end and at the start of text.
size_t trailing_space_bytes(std::string_view text);
size_t leading_space_bytes(std::string_view text);

}  // namespace engine::tokenizer
