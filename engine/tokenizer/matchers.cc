// Owns the known pre-tokenizer patterns: one hand-written matcher each.
#include <algorithm>

#include "engine/tokenizer/known_patterns.h"

namespace engine::tokenizer {
namespace {

using Piece = std::span<const Char>;

// The set written between the brackets of one of our own pattern texts above.
class CharSet {
 public:
  explicit CharSet(std::string_view pattern) {
    const size_t open = pattern.find('['), close = pattern.rfind(']');
    const std::vector<Char> chars = decode_chars(pattern.substr(open + 1, close - open - 1));
    for (size_t i = 0; i < chars.size();) {
      const bool range = i + 2 < chars.size() && chars[i + 1].code == '-';
      ranges_.emplace_back(chars[i].code, chars[range ? i + 2 : i].code);
      i += range ? 3 : 1;
    }
    std::sort(ranges_.begin(), ranges_.end());
  }

  bool has(char32_t code) const {
    auto it = std::upper_bound(ranges_.begin(), ranges_.end(), code,
                               [](char32_t c, const auto& range) { return c < range.first; });
    // Ranges may touch or overlap by their ends (0800-4E00, 4E00-9FA5): the one before may hold it.
    for (int back = 0; back < 2 && it != ranges_.begin(); ++back) {
      --it;
      if (code <= it->second) return true;
    }
    return false;
  }

 private:
  std::vector<std::pair<char32_t, char32_t>> ranges_;
};

template <typename Pred>
size_t skip(Piece p, size_t at, Pred pred) {
  while (at < p.size() && pred(p[at])) ++at;
  return at;
}

bool letter(const Char& c) { return c.cls == CharClass::letter; }
bool number(const Char& c) { return c.cls == CharClass::number; }
bool other(const Char& c) { return c.cls == CharClass::other; }
bool newline(const Char& c) { return c.cls == CharClass::newline; }
bool space(const Char& c) { return is_space(c.cls); }

// 's 't 're 've 'm 'll 'd at `at`, or `at`. Without case, the long s counts as an s.
size_t match_contraction(Piece p, size_t at, bool any_case) {
  if (p[at].code != '\'') return at;
  const auto lower = [&](size_t i) -> char32_t {
    if (i >= p.size()) return 0;
    const char32_t c = p[i].code;
    if (any_case && c >= 'A' && c <= 'Z') return c + ('a' - 'A');
    if (any_case && c == 0x17F) return 's';
    return c;
  };
  const char32_t a = lower(at + 1), b = lower(at + 2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return at + 3;
  return at;
}

// \s+(?!\S)|\s+ where a white space stands at `at`: the run, but its last character goes to a word
// that follows.
size_t match_space_run(Piece p, size_t at) {
  const size_t end = skip(p, at, space);
  return end < p.size() && end - at > 1 ? end - 1 : end;
}

// The family of Llama-3's pattern; digits are cut into groups of at most max_digits.
size_t match_llama3_like(Piece p, size_t at, size_t max_digits) {
  if (const size_t stop = match_contraction(p, at, true); stop != at) return stop;
  const Char& c = p[at];
  const bool more = at + 1 < p.size();
  if (letter(c)) return skip(p, at, letter);
  if (!newline(c) && !number(c) && more && letter(p[at + 1])) return skip(p, at + 1, letter);
  if (number(c)) return skip(p.first(std::min(p.size(), at + max_digits)), at, number);
  if (other(c) || (c.code == ' ' && more && other(p[at + 1]))) {
    return skip(p, skip(p, at + 1, other), newline);
  }
  const size_t end = skip(p, at, space);
  size_t after_newline = end;
  while (after_newline > at && !newline(p[after_newline - 1])) --after_newline;
  return after_newline > at ? after_newline : match_space_run(p, at);
}

size_t match_llama3(Piece p, size_t at) { return match_llama3_like(p, at, 3); }
size_t match_qwen2(Piece p, size_t at) { return match_llama3_like(p, at, 1); }

// \s?X+ for a class X.
template <typename Pred>
size_t match_spaced(Piece p, size_t at, Pred pred) {
  if (space(p[at]) && at + 1 < p.size() && pred(p[at + 1])) return skip(p, at + 1, pred);
  return skip(p, at, pred);
}

size_t match_newline(Piece p, size_t at) { return newline(p[at]) ? at + 1 : at; }
size_t match_spaced_letters(Piece p, size_t at) { return match_spaced(p, at, letter); }
size_t match_spaced_punctuation(Piece p, size_t at) {
  return match_spaced(p, at, [](const Char& c) { return is_punctuation(c.code); });
}
size_t match_deepseek_letters(Piece p, size_t at) {
  static const CharSet set(kDeepseekLettersRegex);
  return match_spaced(p, at, [](const Char& c) { return set.has(c.code); });
}
size_t match_deepseek_marks(Piece p, size_t at) {
  static const CharSet set(kDeepseekMarksRegex);
  return match_spaced(p, at, [](const Char& c) { return set.has(c.code); });
}
size_t match_ideographs(Piece p, size_t at) {
  static const CharSet set(kDeepseekIdeographsRegex);
  return skip(p, at, [](const Char& c) { return set.has(c.code); });
}

// \s+$; a run is looked at once, from its first character.
size_t match_last_spaces(Piece p, size_t at) {
  if (!space(p[at]) || (at > 0 && space(p[at - 1]))) return at;
  const size_t end = skip(p, at, space);
  return end == p.size() ? end : at;
}

size_t match_number_group(Piece p, size_t at) {
  return skip(p.first(std::min(p.size(), at + 3)), at, number);
}

size_t match_default_marks(Piece p, size_t at) {
  return skip(p, at, [](const Char& c) {
    return is_punctuation(c.code) || std::u32string_view(U"$+<=>^~|").find(c.code) < 8;
  });
}

size_t match_three_digits(Piece p, size_t at) {
  const auto digit = [](const Char& c) { return c.code >= '0' && c.code <= '9'; };
  const bool three = at + 2 < p.size() && digit(p[at]) && digit(p[at + 1]) && digit(p[at + 2]);
  return three ? at + 3 : at;
}

}  // namespace

size_t match_gpt2(Piece p, size_t at) {
  if (const size_t stop = match_contraction(p, at, false); stop != at) return stop;
  const size_t first = p[at].code == ' ' && at + 1 < p.size() ? at + 1 : at;
  if (letter(p[first])) return skip(p, first, letter);
  if (number(p[first])) return skip(p, first, number);
  if (other(p[first])) return skip(p, first, other);
  return match_space_run(p, at);
}

size_t match_one_number(Piece p, size_t at) { return number(p[at]) ? at + 1 : at; }
size_t match_number_run(Piece p, size_t at) { return skip(p, at, number); }

size_t match_metaspace_word(Piece p, size_t at) {
  const auto text = [](const Char& c) { return c.code != 0x2581; };
  return text(p[at]) ? at : skip(p, at + 1, text);
}

std::span<const KnownPattern> known_patterns() {
  static constexpr KnownPattern kPatterns[] = {
      {"gpt-2", kGpt2Regex, match_gpt2, true},
      {"llama-3", kLlama3Regex, match_llama3, true},
      {"cl100k", kCl100kRegex, match_llama3, true},
      {"qwen2", kQwen2Regex, match_qwen2, true},
      {"deepseek-letters", kDeepseekLettersRegex, match_deepseek_letters, false},
      {"deepseek-marks", kDeepseekMarksRegex, match_deepseek_marks, false},
      {"deepseek-ideographs", kDeepseekIdeographsRegex, match_ideographs, false},
      {"newline", "[\r\n]", match_newline, false},
      {"letters", "\\s?\\p{L}+", match_spaced_letters, false},
      {"punctuation", "\\s?\\p{P}+", match_spaced_punctuation, false},
      {"last-spaces", "\\s+$", match_last_spaces, false},
      {"digit", "\\p{N}", match_one_number, false},
      {"digits", "\\p{N}+", match_number_run, false},
      {"three-digits", "\\p{N}{1,3}", match_number_group, false},
      {"marks", "[\\p{P}\\$\\+<=>\\^~\\|]+", match_default_marks, false},
      {"ascii-three-digits", "[0-9][0-9][0-9]", match_three_digits, false},
  };
  return kPatterns;
}

const KnownPattern* find_pattern(std::string_view regex) {
  for (const KnownPattern& p : known_patterns()) {
    if (p.regex == regex) return &p;
  }
  return nullptr;
}

}  // namespace engine::tokenizer
