// Owns the family typos: 2, 5 and 10% of the free words misspelt, at least 1, 2 and 3 of them.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tasks/shift/family.h"
#include "tasks/shift/misspell.h"
#include "tasks/shift/words.h"

namespace tasks::shift {
namespace {

constexpr std::array kPercentMisspelt = {2, 5, 10};

Family::Plan plan_typos(const Request& r) {
  const std::string& text = r.sample.input;
  if (looks_like_program(text)) return cannot("it has a program in it");
  const auto kept = words_of_options(r.sample);
  std::vector<Token> free;
  for (const Token& t : tokens_of(text, kept))
    if (t.is_free) free.push_back(t);
  const auto severity = static_cast<size_t>(r.shift.severity);
  std::set<std::string> taken = words_of(text);
  taken.insert(kept.begin(), kept.end());
  const size_t n = share(free.size(), kPercentMisspelt.at(severity - 1), severity);
  Family::Plan out;
  for (const size_t i : Draws(r.seed, r.sample.id, "typos", 0).order(free.size())) {
    if (out.edits.size() == n) break;
    Draws draws(r.seed, r.sample.id, "typos", 1 + i);
    const auto word = free[i].core(text);
    const Slip slip = misspell(word, taken, draws);
    if (slip.word.empty()) continue;
    out.edits.push_back(
        {Edit::Field::input, 0, free[i].core_begin, std::string(word), slip.word, slip.rule});
  }
  if (out.edits.size() < severity)
    return cannot(fmt::format("fewer than {} words may be misspelt", severity));
  return out;
}

std::string check_typos(const Shift&, const datasets::Sample& original, const Shifted& shifted) {
  const auto kept = words_of_options(original);
  if (auto bad = changed_token(original.input, shifted.sample.input, kept); !bad.empty())
    return bad;
  for (const Edit& e : shifted.edits)
    if (e.field != Edit::Field::input || !is_slip(e.before, e.after))
      return fmt::format("'{}' to '{}' is more than one slip", e.before, e.after);
  return {};
}

}  // namespace

Family typos_family() {
  return {.id = ShiftFamily::typos,
          .about =
              "2, 5 or 10% of the words misspelt; numbers, names, negations and option words stand",
          .name = "typos",
          .version = 1,
          .guarantee = Guarantee::words_close,
          .draws_from = 1,
          .for_questions = true,
          .for_code = false,
          .needs_letters = false,
          .plan = plan_typos,
          .check = check_typos};
}

}  // namespace tasks::shift
