// Owns the rule that added sentences have nothing to do with an item. Internal to tasks/.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "datasets/sample.h"

namespace tasks::shift {

// Of question, options, and (code) the tests' and the function's words.
std::set<std::string> content_words_of(const datasets::Sample&);

// Empty when `text` is at least `n` sentences of the grammar in sentences.h, each without a content
// word of the item, without a digit; else what is wrong.
std::string unrelated_to(const datasets::Sample&, std::string_view text, size_t n);

}  // namespace tasks::shift
