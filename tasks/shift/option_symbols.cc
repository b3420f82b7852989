// Owns the family option_symbols: options labelled with numbers; with rare signs; with made-up
// codes. Demonstrations show the same labels. (Options without any label are the task mmlu_cloze:
// another scoring rule, so no shift of this one.)
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "tasks/option_order.h"
#include "tasks/shift/draws.h"
#include "tasks/shift/family.h"
#include "tasks/shift/words.h"

namespace tasks::shift {
namespace {

constexpr std::array kSigns = {"§", "¶", "†", "‡", "※", "◊", "♠", "♣", "♦", "♪"};
constexpr std::string_view kConsonants = "bcdfghjklmnpqrstvwxz";
constexpr size_t kCodeLetters = 4;

// Codes differ in their first letter: the first token tells them apart.
std::vector<std::string> made_up_codes(size_t n, Draws& draws) {
  const auto first = draws.order(kConsonants.size());
  std::vector<std::string> out;
  for (size_t i = 0; i < n; ++i) {
    std::string code(1, kConsonants[first[i]]);
    while (code.size() < kCodeLetters) code += kConsonants[draws.index(kConsonants.size())];
    out.push_back(code);
  }
  return out;
}

std::vector<std::string> labels(const Request& r, size_t n) {
  std::vector<std::string> out;
  if (r.shift.severity == 3) {
    Draws draws(r.seed, r.sample.id, "option_symbols", 0);
    return made_up_codes(n, draws);
  }
  for (size_t i = 0; i < n; ++i)
    out.emplace_back(r.shift.severity == 1 ? std::to_string(i + 1) : kSigns.at(i));
  return out;
}

Family::Plan plan_option_symbols(const Request& r) {
  const auto& choices = r.sample.choices;
  if (choices.size() > 9) return cannot("it has more than nine options");
  for (const auto& choice : choices)
    if (speaks_of_letters(choice)) return cannot("an option speaks of the others' letters");
  const auto symbols = labels(r, choices.size());
  for (const auto& choice : choices)
    if (std::find(symbols.begin(), symbols.end(), choice) != symbols.end())
      return cannot("an option reads like a label");
  Family::Plan out;
  for (size_t i = 0; i < choices.size(); ++i)
    out.edits.push_back({Edit::Field::symbol, i, 0, std::string(1, static_cast<char>('A' + i)),
                         symbols[i], "label"});
  return out;
}

std::string check_option_symbols(const Shift&, const datasets::Sample& original,
                                 const Shifted& shifted) {
  if (original.input != shifted.sample.input) return "the question changed";
  const auto& symbols = shifted.sample.symbols;
  if (symbols.size() != original.choices.size()) return "an option has no label";
  const std::set<std::string> different(symbols.begin(), symbols.end());
  if (different.size() != symbols.size()) return "two options have one label";
  for (const auto& choice : original.choices)
    if (different.contains(choice)) return "an option reads like a label";
  return {};
}

}  // namespace

Family option_symbols_family() {
  return {.id = ShiftFamily::option_symbols,
          .about = "options labelled with numbers, rare signs or made-up codes",
          .name = "option_symbols",
          .version = 1,
          .guarantee = Guarantee::symbols_bijective,
          .draws_from = 3,
          .for_questions = true,
          .for_code = false,
          .needs_letters = true,
          .plan = plan_option_symbols,
          .check = check_option_symbols};
}

}  // namespace tasks::shift
