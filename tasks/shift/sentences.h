// Owns the sentences that have nothing to do with any question: one grammar, thousands of plain
// statements about everyday things, without names or numbers. Internal to tasks/.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/shift/draws.h"

namespace tasks::shift {

// Up to n different sentences that share no content word with `avoided` (lower case).
std::vector<std::string> unrelated_sentences(size_t n, const std::set<std::string>& avoided,
                                             Draws&);

// Of the grammar, whole.
bool is_unrelated_sentence(std::string_view);

// Words of a text that carry content: four letters or more, no function word, in lower case and
// without a final s.
std::set<std::string> content_words(std::string_view text);

}  // namespace tasks::shift
