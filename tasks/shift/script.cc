// Owns the family script: letters of the Cyrillic script that look like Latin ones, and accents, in
// 10, 25 and 50% of the free words. A fixed map takes them back.
#include <fmt/format.h>

#include <array>

#include "tasks/shift/draws.h"
#include "tasks/shift/family.h"
#include "tasks/shift/words.h"

namespace tasks::shift {
namespace {

constexpr std::array kPercentOfWords = {10, 25, 50};

// Unicode confusables (UTS 39) of lower-case Latin letters.
constexpr std::array<std::pair<char, std::string_view>, 10> kTwins = {{{'a', "\u0430"},
                                                                       {'c', "\u0441"},
                                                                       {'e', "\u0435"},
                                                                       {'i', "\u0456"},
                                                                       {'j', "\u0458"},
                                                                       {'o', "\u043E"},
                                                                       {'p', "\u0440"},
                                                                       {'s', "\u0455"},
                                                                       {'x', "\u0445"},
                                                                       {'y', "\u0443"}}};
constexpr std::string_view kAccent = "\u0301";  // combining acute
constexpr std::string_view kVowels = "aeiou";

std::string_view twin(char c) {
  for (const auto& [latin, other] : kTwins)
    if (latin == c) return other;
  return {};
}

// Severity 1: the first letter that has a twin. 2: and an accent on the last vowel. 3: all letters
// that have one, and the accent.
std::string disguised(std::string_view word, int severity) {
  const size_t accent = severity >= 2 ? word.find_last_of(kVowels) : std::string_view::npos;
  std::string out;
  bool done = false;
  for (size_t i = 0; i < word.size(); ++i) {
    const auto other = twin(word[i]);
    const bool replace = !other.empty() && (severity == 3 || !done);
    done |= replace;
    if (replace)
      out += other;
    else
      out += word[i];
    if (i == accent) out += kAccent;
  }
  return out;
}

std::string latin(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t n = 1;
    if (text.starts_with(kAccent)) {
      n = kAccent.size();
    } else {
      char c = text[0];
      for (const auto& [own, other] : kTwins)
        if (text.starts_with(other)) {
          c = own;
          n = other.size();
        }
      out += c;
    }
    text.remove_prefix(n);
  }
  return out;
}

Family::Plan plan_script(const Request& r) {
  const std::string& text = r.sample.input;
  if (latin(text) != text) return cannot("it has Cyrillic letters or accents of its own");
  if (looks_like_program(text)) return cannot("it has a program in it");
  const auto severity = static_cast<size_t>(r.shift.severity);
  std::vector<Token> words;
  for (const Token& t : tokens_of(text, words_of_options(r.sample)))
    if (t.is_free && disguised(t.core(text), 2) != t.core(text)) words.push_back(t);
  if (words.size() < severity)
    return cannot(fmt::format("fewer than {} words may be written otherwise", severity));
  Family::Plan out;
  const auto order = Draws(r.seed, r.sample.id, "script", 0).order(words.size());
  for (size_t i = 0; i < share(words.size(), kPercentOfWords.at(severity - 1), severity); ++i) {
    const Token& w = words[order[i]];
    auto other = disguised(w.core(text), r.shift.severity);
    if (other == w.core(text)) other = disguised(w.core(text), 2);  // only an accent fits
    out.edits.push_back(
        {Edit::Field::input, 0, w.core_begin, std::string(w.core(text)), other, "twin letters"});
  }
  return out;
}

std::string check_script(const Shift&, const datasets::Sample& original, const Shifted& shifted) {
  if (latin(shifted.sample.input) != original.input) return "the map does not give the original";
  return changed_token(original.input, shifted.sample.input, words_of_options(original));
}

}  // namespace

Family script_family() {
  return {.id = ShiftFamily::script,
          .about = "look-alike letters and accents in 10, 25 or 50% of the words",
          .name = "script",
          .version = 1,
          .guarantee = Guarantee::script_invertible,
          .draws_from = 1,
          .for_questions = true,
          .for_code = false,
          .needs_letters = false,
          .plan = plan_script,
          .check = check_script};
}

}  // namespace tasks::shift
