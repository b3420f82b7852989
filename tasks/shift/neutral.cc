// Owns the family neutral: content-free text before the item, byte for byte as long as what another
// family adds to it at the same severity and seed. What that family does beyond it is its own.
#include <fmt/format.h>

#include "tasks/shift/family.h"

namespace tasks::shift {
namespace {

constexpr std::string_view kLine = "(this line is left blank on purpose)\n";

// Exactly n bytes of whole lines.
std::string filler(size_t n, std::string_view mark) {
  const std::string line = fmt::format("{}{}", mark, kLine);
  std::string out;
  while (n - out.size() >= line.size()) out += line;
  const size_t rest = n - out.size();
  if (rest == 0) return out;
  std::string last(rest - 1, '.');
  last.replace(0, std::min(mark.size(), last.size()), mark.substr(0, last.size()));
  return out + last + "\n";
}

std::string_view mark_of(const datasets::Sample& s) { return is_code(s) ? "# " : ""; }

Family::Plan plan_neutral(const Request& r) {
  const Shift matched{r.shift.matched, r.shift.severity, r.shift.matched, r.shift.text};
  const auto other = apply_shift(matched, r.sample, r.seed);
  if (!other.shifted)
    return cannot(fmt::format("{} does not fit it: {}", shift_label(matched), other.why_not));
  const size_t before = r.sample.input.size(), after = other.shifted->sample.input.size();
  if (after <= before) return cannot(fmt::format("{} adds no text", shift_label(matched)));
  return {{{Edit::Field::input, 0, 0, "", filler(after - before, mark_of(r.sample)), "filler"}},
          {}};
}

std::string check_neutral(const Shift&, const datasets::Sample& original, const Shifted& shifted) {
  const std::string &item = original.input, &now = shifted.sample.input;
  if (now.size() <= item.size() || !now.ends_with(item))
    return "the item does not stand whole behind the filler";
  const size_t n = now.size() - item.size();
  return now.substr(0, n) == filler(n, mark_of(original)) ? "" : "the filler is another text";
}

}  // namespace

Family neutral_family() {
  return {.id = ShiftFamily::neutral,
          .about = "empty lines of the length that neutral.FAMILY names (distractors): a control",
          .name = "neutral",
          .version = 1,
          .guarantee = Guarantee::item_verbatim,
          .draws_from = 1,
          .for_questions = true,
          .for_code = true,
          .needs_letters = false,
          .plan = plan_neutral,
          .check = check_neutral};
}

}  // namespace tasks::shift
