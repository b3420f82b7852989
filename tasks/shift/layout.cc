// Owns the family layout: blanks doubled; letter case at random in words; lines broken. Each
// severity does what the lower ones do, and more.
#include <algorithm>
#include <array>

#include "tasks/shift/draws.h"
#include "tasks/shift/family.h"
#include "tasks/shift/words.h"

namespace tasks::shift {
namespace {

constexpr int kDoubledPercent = 10, kCasePercent = 25, kBrokenPercent = 20;

// Single blanks between tokens outside mathematics.
std::vector<size_t> gaps_of(std::string_view text, const std::vector<Token>& tokens) {
  std::vector<size_t> out;
  for (size_t i = 0; i + 1 < tokens.size(); ++i)
    if (tokens[i].end + 1 == tokens[i + 1].begin && text[tokens[i].end] == ' ' &&
        !tokens[i].in_maths && !tokens[i + 1].in_maths)
      out.push_back(tokens[i].end);
  return out;
}

// Some letters in upper case, some not.
std::string random_case(std::string_view word, Draws& draws) {
  std::string out(word);
  const auto order = draws.order(word.size());
  const size_t n = 1 + draws.index(word.size() - 1);
  for (size_t i = 0; i < n; ++i) out[order[i]] = static_cast<char>(word[order[i]] - 'a' + 'A');
  return out;
}

Family::Plan plan_layout(const Request& r) {
  const std::string& text = r.sample.input;
  if (has_indented_lines(text)) return cannot("it has indented lines, code or a table");
  const auto tokens = tokens_of(text, words_of_options(r.sample));
  const auto gaps = gaps_of(text, tokens);
  std::vector<Token> words;
  for (const Token& t : tokens)
    if (t.is_free) words.push_back(t);
  const int severity = r.shift.severity;
  if (gaps.size() < 2 || words.empty()) return cannot("it has fewer than three words to set apart");
  Family::Plan out;
  const auto order = Draws(r.seed, r.sample.id, "layout", 0).order(gaps.size());
  const size_t doubled = std::min(gaps.size() - 1, share(gaps.size(), kDoubledPercent, 1));
  for (size_t i = 0; i < doubled; ++i)
    out.edits.push_back({Edit::Field::input, 0, gaps[order[i]], " ", "  ", "double blank"});
  if (severity >= 2) {
    Draws draws(r.seed, r.sample.id, "layout", 1);
    const auto chosen = draws.order(words.size());
    for (size_t i = 0; i < share(words.size(), kCasePercent, 1); ++i) {
      const Token& w = words[chosen[i]];
      out.edits.push_back({Edit::Field::input, 0, w.core_begin, std::string(w.core(text)),
                           random_case(w.core(text), draws), "case"});
    }
  }
  if (severity >= 3)
    for (size_t i = doubled;
         i < std::min(gaps.size(), doubled + share(gaps.size(), kBrokenPercent, 1)); ++i)
      out.edits.push_back({Edit::Field::input, 0, gaps[order[i]], " ", "\n", "line end"});
  return out;
}

std::string folded(std::string_view text) {
  std::string out;
  for (const char c : lower(text)) {
    if (!is_blank(c))
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  return out;
}

std::string check_layout(const Shift& s, const datasets::Sample& original, const Shifted& shifted) {
  if (folded(original.input) != folded(shifted.sample.input))
    return "more than letter case and white space changed";
  if (auto bad = changed_token(original.input, shifted.sample.input, words_of_options(original));
      !bad.empty())
    return bad;
  if (s.severity == 1 && std::any_of(shifted.edits.begin(), shifted.edits.end(),
                                     [](const Edit& e) { return e.rule == "case"; }))
    return "letter case changed at severity 1";
  return {};
}

}  // namespace

Family layout_family() {
  return {.id = ShiftFamily::layout,
          .about = "doubled blanks; and random letter case; and broken lines",
          .name = "layout",
          .version = 1,
          .guarantee = Guarantee::same_folded_text,
          .draws_from = 1,
          .for_questions = true,
          .for_code = false,
          .needs_letters = false,
          .plan = plan_layout,
          .check = check_layout};
}

}  // namespace tasks::shift
