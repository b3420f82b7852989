#include "tasks/shift/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tasks/text.h"

namespace tasks::shift {
namespace {

constexpr size_t kShortestFree = 4;

constexpr std::array kNumbers = {
    "zero",     "one",      "two",     "three",     "four",     "five",     "six",
    "seven",    "eight",    "nine",    "ten",       "eleven",   "twelve",   "thirteen",
    "fourteen", "fifteen",  "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
    "thirty",   "forty",    "fifty",   "sixty",     "seventy",  "eighty",   "ninety",
    "hundred",  "thousand", "million", "billion",   "half",     "third",    "thirds",
    "quarter",  "quarters", "once",    "twice",     "thrice",   "double",   "triple",
    "first",    "second",   "fourth",  "fifth",     "sixth",    "seventh",  "eighth",
    "ninth",    "tenth",    "dozen",   "single",    "both",     "hundreds", "thousands"};

constexpr std::array kNegations = {
    "not",    "never",     "none",     "neither",   "nothing",    "nobody",   "nowhere",
    "cannot", "without",   "except",   "excluding", "unless",     "least",    "false",
    "untrue", "incorrect", "wrong",    "unlike",    "inaccurate", "unlikely", "only",
    "hardly", "barely",    "excluded", "lacks",     "lacking",    "invalid",  "incorrectly",
    "less",   "fewer",     "fewest",   "fails",     "fail",       "failed",   "lack",
    "unable", "avoid",     "opposite", "impossible"};

bool opens(char c) { return c == '(' || c == '[' || c == '"' || c == '\''; }
bool closes(char c) {
  return c == ')' || c == ']' || c == '"' || c == '\'' || c == '.' || c == ',' || c == ';' ||
         c == ':' || c == '?' || c == '!';
}

}  // namespace

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out)
    if (is_upper(c)) c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool is_negation(std::string_view word) {
  return std::find(kNegations.begin(), kNegations.end(), word) != kNegations.end();
}

bool is_number_word(std::string_view word) {
  return std::find(kNumbers.begin(), kNumbers.end(), word) != kNumbers.end();
}

std::set<std::string> words_of(std::string_view text) {
  std::set<std::string> out;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && is_letter(text[end])) ++end;
    if (end > i) out.insert(lower(text.substr(i, end - i)));
    i = end + 1;
  }
  return out;
}

std::set<std::string> words_of_options(const datasets::Sample& s) {
  std::set<std::string> out;
  for (const auto& choice : s.choices) out.merge(words_of(choice));
  return out;
}

std::vector<Token> tokens_of(std::string_view text, const std::set<std::string>& kept) {
  // A single dollar sign is money.
  const bool has_maths = std::count(text.begin(), text.end(), '$') >= 2;
  std::vector<Token> out;
  size_t dollars = 0;
  for (size_t i = 0; i < text.size();) {
    if (is_blank(text[i])) {
      ++i;
      continue;
    }
    Token t;
    t.begin = i;
    t.in_maths = has_maths && dollars % 2 == 1;
    while (i < text.size() && !is_blank(text[i])) {
      dollars += text[i] == '$';
      t.in_maths |= has_maths && text[i] == '$';
      ++i;
    }
    t.end = i;
    t.core_begin = t.begin;
    t.core_end = t.end;
    while (t.core_begin < t.core_end && opens(text[t.core_begin])) ++t.core_begin;
    while (t.core_end > t.core_begin && closes(text[t.core_end - 1])) --t.core_end;
    const std::string_view core = t.core(text);
    t.is_free = core.size() >= kShortestFree && !t.in_maths &&
                std::all_of(core.begin(), core.end(), is_lower) && !is_negation(core) &&
                !is_number_word(core) && !kept.contains(std::string(core));
    out.push_back(t);
  }
  return out;
}

std::string changed_token(std::string_view before, std::string_view after,
                          const std::set<std::string>& kept) {
  const auto old = tokens_of(before, kept), now = tokens_of(after, kept);
  if (old.size() != now.size()) return fmt::format("{} tokens became {}", old.size(), now.size());
  for (size_t i = 0; i < old.size(); ++i) {
    const auto a = before.substr(old[i].begin, old[i].end - old[i].begin);
    const auto b = after.substr(now[i].begin, now[i].end - now[i].begin);
    if (!old[i].is_free && a != b)
      return fmt::format("the protected token {} became {}", quote(a), quote(b));
  }
  return {};
}

bool looks_like_program(std::string_view text) {
  for (const std::string_view sign : {"\u2190", ":=", "==", "!=", "+=", "print ", "print("})
    if (text.find(sign) != std::string_view::npos) return true;
  return has_indented_lines(text);
}

bool has_indented_lines(std::string_view text) {
  for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1))
    if (at + 1 < text.size() && (text[at + 1] == ' ' || text[at + 1] == '\t')) return true;
  return false;
}

}  // namespace tasks::shift
