// Owns the contract of a family's file: how to shift a sample, and how to check that it still asks
// the same. Internal to tasks/.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "tasks/shift.h"

namespace tasks::shift {

struct Request {
  const Shift& shift;
  const datasets::Sample& sample;
  uint64_t seed = 0;
};

struct Family {
  ShiftFamily id;
  const char* about;  // severities 1, 2 and 3 in one line
  const char* name;
  int version;
  Guarantee guarantee;
  int draws_from;                // the lowest severity at which the seed decides; 0: none
  bool for_questions, for_code;  // what it can be applied to
  bool needs_letters;
  // Edits only; replay() makes the sample of them. Empty edits come with a reason.
  struct Plan {
    std::vector<Edit> edits;
    std::string why_not;
  };
  Plan (*plan)(const Request&);
  // Empty, or what is broken. The log has been checked before.
  std::string (*check)(const Shift&, const datasets::Sample& original, const Shifted&);
};

Family typos_family();
Family layout_family();
Family option_order_family();
Family option_symbols_family();
Family distractors_family();
Family padding_family();
Family wrapper_family();
Family script_family();
Family code_mix_family();
Family code_surface_family();
Family spoof_up_family();
Family spoof_down_family();
Family gadget_up_family();
Family gadget_down_family();
Family ladder_cue_family();
Family recode_family();
Family neutral_family();

inline Family::Plan cannot(std::string why) { return {{}, std::move(why)}; }
// A program to go on with. A program that is asked for in words is a question here.
inline bool is_code(const datasets::Sample& s) {
  return s.choices.empty() && !s.entry_point.empty() &&
         s.input.find("def " + s.entry_point) != std::string::npos;
}

// Number to take at a rate of n: at least `least`, at most n.
inline size_t share(size_t n, int percent, size_t least) {
  const size_t by_rate = (n * static_cast<size_t>(percent) + 99) / 100;
  return std::min(n, std::max(least, by_rate));
}

}  // namespace tasks::shift
