// Owns the family padding: pages of unrelated sentences before the item, set apart by a line. About
// 256, 768 and 1536 tokens at four bytes each; tasks know no tokens.
#include <fmt/format.h>

#include <array>

#include "tasks/shift/sentences.h"
#include "tasks/shift/text_before.h"
#include "tasks/shift/unrelated.h"

namespace tasks::shift {
namespace {

constexpr std::array<size_t, 3> kBytes = {1024, 3072, 6144};
constexpr std::string_view kAfterPages = "\n\n=====\n\n";
constexpr size_t kPerParagraph = 6, kShortestSentence = 40;

Family::Plan plan_padding(const Request& r) {
  const size_t bytes = kBytes.at(static_cast<size_t>(r.shift.severity - 1));
  Draws draws(r.seed, r.sample.id, "padding", 0);
  const auto sentences =
      unrelated_sentences(bytes / kShortestSentence, content_words_of(r.sample), draws);
  std::string text;
  for (size_t i = 0; i < sentences.size() && text.size() < bytes; ++i) {
    if (i > 0) text += i % kPerParagraph == 0 ? "\n" : " ";
    text += sentences[i];
  }
  if (text.size() < bytes) return cannot("too few sentences share no word with it");
  if (is_code(r.sample)) text = wrapped(text) + "\n=====";
  return {{text_before(r.sample, text, kAfterPages, "pages")}, {}};
}

std::string check_padding(const Shift& s, const datasets::Sample& original,
                          const Shifted& shifted) {
  auto put = text_put_before(original, shifted.sample, kAfterPages);
  constexpr std::string_view kLine = "\n=====";
  if (put && is_code(original)) {
    if (!put->ends_with(kLine)) return "no line sets the pages apart";
    put->resize(put->size() - kLine.size());
  }
  if (!put) return "the item does not stand whole behind the pages";
  if (put->size() < kBytes.at(static_cast<size_t>(s.severity - 1)))
    return fmt::format("only {} bytes were added", put->size());
  return unrelated_to(original, *put, 1);
}

}  // namespace

Family padding_family() {
  return {.id = ShiftFamily::padding,
          .about = "about 256, 768 or 1536 tokens of unrelated sentences, set apart",
          .name = "padding",
          .version = 1,
          .guarantee = Guarantee::item_verbatim,
          .draws_from = 1,
          .for_questions = true,
          .for_code = true,
          .needs_letters = false,
          .plan = plan_padding,
          .check = check_padding};
}

}  // namespace tasks::shift
