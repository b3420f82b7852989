// Owns the family distractors: 1, 3 and 8 sentences before the question, in its own paragraph, that
// share no content word and no number with the item.
#include <fmt/format.h>

#include <array>

#include "tasks/shift/sentences.h"
#include "tasks/shift/text_before.h"
#include "tasks/shift/unrelated.h"
#include "tasks/shift/words.h"

namespace tasks::shift {
namespace {

constexpr std::array<size_t, 3> kSentences = {1, 3, 8};
constexpr std::string_view kAfterSentences = " ";

Family::Plan plan_distractors(const Request& r) {
  if (auto why = refers_back(r.sample.input); !is_code(r.sample) && !why.empty())
    return cannot(std::move(why));
  const size_t n = kSentences.at(static_cast<size_t>(r.shift.severity - 1));
  Draws draws(r.seed, r.sample.id, "distractors", 0);
  const auto sentences = unrelated_sentences(n, content_words_of(r.sample), draws);
  if (sentences.size() < n) return cannot("too few sentences share no word with it");
  const std::string_view joint = is_code(r.sample) ? "\n" : " ";
  return {{text_before(r.sample, fmt::format("{}", fmt::join(sentences, joint)), kAfterSentences,
                       "sentences")},
          {}};
}

std::string check_distractors(const Shift& s, const datasets::Sample& original,
                              const Shifted& shifted) {
  const auto put = text_put_before(original, shifted.sample, kAfterSentences);
  if (!put) return "the item does not stand whole behind the sentences";
  return unrelated_to(original, *put, kSentences.at(static_cast<size_t>(s.severity - 1)));
}

}  // namespace

Family distractors_family() {
  return {.id = ShiftFamily::distractors,
          .about = "1, 3 or 8 sentences before the question that share no word with it",
          .name = "distractors",
          .version = 1,
          .guarantee = Guarantee::item_verbatim,
          .draws_from = 1,
          .for_questions = true,
          .for_code = true,
          .needs_letters = false,
          .plan = plan_distractors,
          .check = check_distractors};
}

}  // namespace tasks::shift
