// Owns one slip of the finger in one word. Internal to tasks/.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "tasks/shift/draws.h"

namespace tasks::shift {

struct Slip {
  std::string word;  // empty: none was found that is safe
  std::string rule;  // neighbour, swap, omit, double
};

// The word with one letter replaced by its neighbour on the keyboard, two swapped, one left out or
// one doubled. First and last letter stand. Never a word of `taken`, nor one that is known to be
// another word. Four letters are only doubled: too many words of that length are near each other.
Slip misspell(std::string_view word, const std::set<std::string>& taken, Draws&);

// What misspell() promises of a pair of words.
bool is_slip(std::string_view before, std::string_view after);

}  // namespace tasks::shift
