// Owns the family ladder_cue: the word of a ladder question that goes along with its difficulty but
// means nothing becomes another one. What the question needs stays; what a predictor grants that
// learned the word is known (datasets/ladder_suite.h: ladder_shortcut_k).
#include <fmt/format.h>

#include "datasets/ladder_suite.h"
#include "tasks/shift/family.h"

namespace tasks::shift {
namespace {

constexpr std::string_view kOpening = "Which ";

// The question from its filler word on; empty when it does not begin as the suite's do.
std::string_view at_filler(std::string_view input, int filler) {
  const std::string& word = datasets::ladder_words().fillers.at(static_cast<size_t>(filler));
  if (!input.starts_with(kOpening)) return {};
  const auto rest = input.substr(kOpening.size());
  return rest.starts_with(word + " thing ") ? rest : std::string_view();
}

Family::Plan plan_ladder_cue(const Request& r) {
  const auto truth = datasets::ladder_truth(r.sample.id);
  if (!truth) return cannot("it is no question of the ladder");
  if (at_filler(r.sample.input, truth->filler).empty())
    return cannot("it does not read as the ladder's questions do");
  const auto& words = datasets::ladder_words().fillers;
  const int other = datasets::ladder_filler_after(truth->filler, r.shift.severity);
  return {{{Edit::Field::input, 0, kOpening.size(), words[static_cast<size_t>(truth->filler)],
            words[static_cast<size_t>(other)], "cue"}},
          {}};
}

std::string check_ladder_cue(const Shift& s, const datasets::Sample& original,
                             const Shifted& shifted) {
  const auto truth = datasets::ladder_truth(original.id);
  if (!truth) return "it is no question of the ladder";
  const auto& words = datasets::ladder_words().fillers;
  const int other = datasets::ladder_filler_after(truth->filler, s.severity);
  const auto before = at_filler(original.input, truth->filler);
  const auto after = at_filler(shifted.sample.input, other);
  if (before.empty() || after.empty()) return "the filler is not the word that was planted";
  return before.substr(words[static_cast<size_t>(truth->filler)].size()) ==
                 after.substr(words[static_cast<size_t>(other)].size())
             ? ""
             : "more than the filler changed";
}

}  // namespace

Family ladder_cue_family() {
  return {.id = ShiftFamily::ladder_cue,
          .about = "the ladder only: its meaningless word is that of a class 1, 2, 3 groups on",
          .name = "ladder_cue",
          .version = 1,
          .guarantee = Guarantee::meaningless_word,
          .draws_from = 0,
          .for_questions = true,
          .for_code = false,
          .needs_letters = false,
          .plan = plan_ladder_cue,
          .check = check_ladder_cue};
}

}  // namespace tasks::shift
