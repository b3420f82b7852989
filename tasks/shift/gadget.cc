// Owns the families gadget_up and gadget_down: a few tokens, searched for against a predictor, put
// before the item so that it asks for more compute, or for less. The text is the shift's own; the
// search is harness/gadget_search.h.
#include "tasks/shift/text_before.h"

namespace tasks::shift {
namespace {

Family::Plan plan_gadget(const Request& r) {
  if (r.shift.text.empty()) return cannot("no gadget was given");
  return {{text_before(r.sample, r.shift.text, kGadgetGap, "gadget")}, {}};
}

std::string check_gadget(const Shift& s, const datasets::Sample& original, const Shifted& shifted) {
  const auto put = text_put_before(original, shifted.sample, kGadgetGap);
  if (!put) return "the item does not stand whole behind the gadget";
  return *put == s.text ? "" : "the text before the item is not the gadget";
}

Family family(ShiftFamily id, const char* name, const char* about) {
  return {.id = id,
          .about = about,
          .name = name,
          .version = 1,
          .guarantee = Guarantee::item_verbatim,
          .draws_from = 0,
          .for_questions = true,
          .for_code = true,
          .needs_letters = false,
          .plan = plan_gadget,
          .check = check_gadget};
}

}  // namespace

Family gadget_up_family() {
  return family(ShiftFamily::gadget_up, "gadget_up",
                "5, 10, 20 tokens found to make a predictor ask for more (--gadget FILE)");
}

Family gadget_down_family() {
  return family(ShiftFamily::gadget_down, "gadget_down",
                "5, 10, 20 tokens found to make a predictor ask for less (--gadget FILE)");
}

}  // namespace tasks::shift
