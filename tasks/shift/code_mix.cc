// Owns the family code_mix: 25, 50 and 100% of a question's everyday words in another language. A
// closed glossary takes them back: it has no negations, numbers or names, and the options' words
// stand.
#include <fmt/format.h>

#include <array>
#include <optional>

#include "tasks/shift/draws.h"
#include "tasks/shift/family.h"
#include "tasks/shift/glossary.h"
#include "tasks/shift/words.h"
#include "tasks/text.h"

namespace tasks::shift {
namespace {

constexpr std::array kPercentOfNouns = {25, 50, 100};

// Every word that the language has in the glossary, put back into English.
std::string in_english(std::string_view text, size_t language) {
  std::string out;
  size_t read = 0;
  for (const Token& t : tokens_of(text, {})) {
    const auto english = translated_back(t.core(text), language);
    if (english.empty()) continue;
    out += text.substr(read, t.core_begin - read);
    out += english;
    read = t.core_end;
  }
  out += text.substr(read);
  return out;
}

// Those whose own words do not occur in the text: the way back must be plain.
std::vector<size_t> possible_languages(std::string_view text) {
  std::vector<size_t> out;
  for (size_t i = 0; i < kGlossaryLanguages.size(); ++i)
    if (in_english(text, i) == text) out.push_back(i);
  return out;
}

Family::Plan plan_code_mix(const Request& r) {
  const std::string& text = r.sample.input;
  if (looks_like_program(text)) return cannot("it has a program in it");
  const auto languages = possible_languages(text);
  if (languages.empty()) return cannot("it has German, Spanish and French words of its own");
  const size_t language =
      languages[Draws(r.seed, r.sample.id, "code_mix", 0).index(languages.size())];
  std::vector<Token> words;
  const auto kept = words_of_options(r.sample);
  for (const Token& t : tokens_of(text, kept))
    if (!t.in_maths && !kept.contains(std::string(t.core(text))) &&
        !translated(t.core(text), language).empty())
      words.push_back(t);
  const auto severity = static_cast<size_t>(r.shift.severity);
  if (words.size() < severity)
    return cannot(fmt::format("the glossary has fewer than {} of its words", severity));
  Family::Plan out;
  const auto order = Draws(r.seed, r.sample.id, "code_mix", 1).order(words.size());
  // At least `severity`, so that a short question too changes more at a higher one.
  for (size_t i = 0; i < share(words.size(), kPercentOfNouns.at(severity - 1), severity); ++i) {
    const Token& w = words[order[i]];
    out.edits.push_back({Edit::Field::input, 0, w.core_begin, std::string(w.core(text)),
                         std::string(translated(w.core(text), language)),
                         std::string(kGlossaryLanguages[language])});
  }
  return out;
}

std::string check_code_mix(const Shift&, const datasets::Sample& original, const Shifted& shifted) {
  std::optional<size_t> language;
  for (size_t i = 0; i < kGlossaryLanguages.size(); ++i)
    if (in_english(shifted.sample.input, i) == original.input) language = i;
  if (!language) return "the glossary does not give the original";
  const auto kept = words_of_options(original);
  for (const Edit& e : shifted.edits) {
    if (e.field != Edit::Field::input || translated(e.before, *language) != e.after)
      return fmt::format("{} for {} is not in the glossary", quote(e.after), quote(e.before));
    if (kept.contains(e.before)) return fmt::format("an option says {}", quote(e.before));
  }
  return {};
}

}  // namespace

Family code_mix_family() {
  return {.id = ShiftFamily::code_mix,
          .about = "25, 50 or 100% of the everyday words in German, Spanish or French",
          .name = "code_mix",
          .version = 1,
          .guarantee = Guarantee::glossary,
          .draws_from = 1,
          .for_questions = true,
          .for_code = false,
          .needs_letters = false,
          .plan = plan_code_mix,
          .check = check_code_mix};
}

}  // namespace tasks::shift
