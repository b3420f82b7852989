// Owns text put before an item that itself stays byte for byte: prose before a question, comment
// lines before code. Internal to tasks/.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tasks/shift/family.h"

namespace tasks::shift {

// `text` is lines without the last line's end. Before a question: the text, then `gap`, then the
// question. Before code: each line behind "# ", an empty line as "#", and a line end.
Edit text_before(const datasets::Sample&, std::string_view text, std::string_view gap,
                 const char* rule);

// The text that was put before the item, or nothing when the item does not stand whole behind it.
// Comment signs are taken off.
std::optional<std::string> text_put_before(const datasets::Sample& original,
                                           const datasets::Sample& shifted, std::string_view gap);

// Lines of at most `width` bytes, broken at blanks.
std::string wrapped(std::string_view text, size_t width = 92);

// Why prose before the question could change what it means; empty when it cannot.
std::string refers_back(std::string_view question);

}  // namespace tasks::shift
