// Owns the order of options: a question with its choices rotated asks the same.
#pragma once

#include <string_view>

#include "datasets/sample.h"

namespace tasks {

// False where a choice speaks of other choices or of their letters ("all of the above", "both A and
// C"): such a question keeps its order.
bool order_is_free(const datasets::Sample&);

// "A and B", "B or C", "(A) and (C)", "a & b" with single letters A to D on both sides.
bool speaks_of_letters(std::string_view choice);

// Choice i moves to place (i + by) mod n, and the key with it.
datasets::Sample with_options_rotated(const datasets::Sample&, int by);

}  // namespace tasks
