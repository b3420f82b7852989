#include "tasks/answer_match.h"

#include <algorithm>
#include <cstdint>

#include "tasks/text.h"

namespace tasks {
namespace {

constexpr std::string_view kGsmAnswerMark = "#### ", kBbhAnswerMark = "the answer is ",
                           kNoAnswerNumber = "None";
constexpr size_t kLongestAnswerNumber = 16;  // without its sign

bool answer_digit(char c) { return c >= '0' && c <= '9'; }
bool answer_number_char(char c) { return answer_digit(c) || c == '.' || c == ','; }

// Number of characters from `at` on that fit.
template <typename Fits>
size_t answer_run(std::string_view text, size_t at, Fits fits) {
  size_t end = at;
  while (end < text.size() && fits(text[end])) ++end;
  return end - at;
}

std::optional<std::string_view> number_after_mark(std::string_view text, bool with_fraction) {
  for (size_t at = text.find(kGsmAnswerMark); at != std::string_view::npos;
       at = text.find(kGsmAnswerMark, at + 1)) {
    const size_t start = at + kGsmAnswerMark.size();
    const size_t digits = start + (start < text.size() && text[start] == '-');
    size_t end = digits + answer_run(text, digits, answer_number_char);
    if (end == digits) continue;
    if (with_fraction && end < text.size() && text[end] == '/')
      if (const size_t n = answer_run(text, end + 1, answer_digit); n > 0) end += 1 + n;
    return text.substr(start, end - start);
  }
  return std::nullopt;
}

// a / b with the decimal places in b.
struct AnswerRatio {
  int64_t a = 0, b = 1;
};

// -12, 12., .5, 12.50, 5/8; thousands without commas.
std::optional<AnswerRatio> answer_ratio(std::string_view s) {
  AnswerRatio r;
  const bool is_negative = s.starts_with('-');
  if (is_negative) s.remove_prefix(1);
  if (s.size() > kLongestAnswerNumber) return std::nullopt;
  bool has_digit = false, has_point = false;
  size_t i = 0;
  for (; i < s.size() && s[i] != '/'; ++i) {
    if (s[i] == '.' && !has_point) {
      has_point = true;
      continue;
    }
    if (!answer_digit(s[i])) return std::nullopt;
    has_digit = true;
    r.a = 10 * r.a + (s[i] - '0');
    if (has_point) r.b *= 10;
  }
  if (!has_digit) return std::nullopt;
  if (i < s.size()) {
    int64_t below = 0;
    if (++i == s.size()) return std::nullopt;
    for (; i < s.size(); ++i) {
      if (!answer_digit(s[i])) return std::nullopt;
      below = 10 * below + (s[i] - '0');
    }
    if (below == 0) return std::nullopt;
    r.b *= below;  // below 10^16, as the digits of both parts are 16 at most
  }
  if (is_negative) r.a = -r.a;
  return r;
}

}  // namespace

std::string_view match_rule_name(MatchRule rule) {
  switch (rule) {
    case MatchRule::gsm_strict:
      return "gsm_strict/1";
    case MatchRule::gsm_flexible:
      return "gsm_flexible/1";
    case MatchRule::gsm_plus:
      return "gsm_plus/1";
    case MatchRule::answer_is:
      return "answer_is/1";
  }
  return "";
}

std::optional<std::string_view> gsm_strict_answer(std::string_view text) {
  return number_after_mark(text, false);
}

std::optional<std::string_view> gsm_plus_answer(std::string_view text) {
  return number_after_mark(text, true);
}

std::optional<std::string_view> gsm_flexible_answer(std::string_view text) {
  std::optional<std::string_view> last;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at + (text[at] == '-');
    const size_t n =
        answer_run(text, start, [](char c) { return answer_number_char(c) || c == '$'; });
    if (n >= 2 || (n == 1 && answer_digit(text[start]))) {
      last = text.substr(at, start + n - at);
      at = start + n;
    } else {
      ++at;
    }
  }
  return last;
}

std::optional<std::string_view> bbh_answer(std::string_view text) {
  for (size_t at = text.find(kBbhAnswerMark); at != std::string_view::npos;
       at = text.find(kBbhAnswerMark, at + 1)) {
    const std::string_view rest = text.substr(at + kBbhAnswerMark.size());
    std::string_view line = rest.substr(0, rest.find('\n'));
    if (line.empty()) continue;
    // The last character, of one byte or more.
    while (line.size() > 1 && (static_cast<uint8_t>(line.back()) & 0xC0) == 0x80)
      line.remove_suffix(1);
    line.remove_suffix(1);
    return strip(line);
  }
  return std::nullopt;
}

std::string gsm_normalised(std::string_view answer) {
  std::string s(answer);
  std::erase_if(s, [](char c) { return c == ',' || c == '$'; });
  if (const size_t mark = s.rfind(kGsmAnswerMark); mark != std::string::npos)
    s.erase(0, mark + kGsmAnswerMark.size());
  // `$` stands before a line end at the end of the text as well.
  const size_t end = s.ends_with('\n') ? s.size() - 1 : s.size();
  if (s.ends_with('.'))
    s.pop_back();
  else if (end < s.size() && end > 0 && s[end - 1] == '.')
    s.erase(end - 1, 1);
  std::transform(s.begin(), s.end(), s.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return s;
}

bool same_number(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto x = answer_ratio(a), y = answer_ratio(b);
  return x && y && static_cast<__int128>(x->a) * y->b == static_cast<__int128>(y->a) * x->b;
}

Match match_answer(MatchRule rule, std::string_view text, bool is_cut, std::string_view target) {
  Match m;
  switch (rule) {
    case MatchRule::gsm_strict:
    case MatchRule::gsm_flexible:
      m.answer =
          rule == MatchRule::gsm_strict ? gsm_strict_answer(text) : gsm_flexible_answer(text);
      m.is_right = m.answer && gsm_normalised(*m.answer) == gsm_normalised(target);
      break;
    case MatchRule::gsm_plus:
      m.answer = gsm_plus_answer(text);
      m.is_right = target == kNoAnswerNumber
                       ? !m.answer && !is_cut && !strip(text).empty()
                       : m.answer && same_number(gsm_normalised(*m.answer), gsm_normalised(target));
      break;
    case MatchRule::answer_is:
      m.answer = bbh_answer(text);
      m.is_right = m.answer && *m.answer == target;
      break;
  }
  return m;
}

}  // namespace tasks
