// Owns the family option_order: options rotated by as many places as the severity says.
#include "tasks/option_order.h"

#include <fmt/format.h>

#include <algorithm>

#include "tasks/shift/family.h"

namespace tasks::shift {
namespace {

Family::Plan plan_option_order(const Request& r) {
  const datasets::Sample& s = r.sample;
  if (!order_is_free(s)) return cannot("an option speaks of the others");
  if (r.shift.severity % static_cast<int>(s.choices.size()) == 0)
    return cannot(fmt::format("{} options turned by {} places are where they were",
                              s.choices.size(), r.shift.severity));
  const auto moved = with_options_rotated(s, r.shift.severity);
  Family::Plan out;
  for (size_t i = 0; i < s.choices.size(); ++i)
    if (s.choices[i] != moved.choices[i])
      out.edits.push_back({Edit::Field::choice, i, 0, s.choices[i], moved.choices[i], "rotate"});
  out.edits.push_back({Edit::Field::answer, 0, 0, std::to_string(s.answer),
                       std::to_string(moved.answer), "rotate"});
  return out;
}

std::string check_option_order(const Shift&, const datasets::Sample& original,
                               const Shifted& shifted) {
  const auto key = [](const datasets::Sample& s) {
    return s.answer < 0 ? std::string() : s.choices.at(static_cast<size_t>(s.answer));
  };
  if (key(original) != key(shifted.sample)) return "the key is another option";
  if (original.input != shifted.sample.input) return "the question changed";
  auto a = original.choices, b = shifted.sample.choices;
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b ? "" : "the options are others";
}

}  // namespace

Family option_order_family() {
  return {.id = ShiftFamily::option_order,
          .about = "options rotated by 1, 2 or 3 places, the key with them",
          .name = "option_order",
          .version = 1,
          .guarantee = Guarantee::key_remapped,
          .draws_from = 0,
          .for_questions = true,
          .for_code = false,
          .needs_letters = true,
          .plan = plan_option_order,
          .check = check_option_order};
}

}  // namespace tasks::shift
