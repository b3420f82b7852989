// Owns small text rules that protocols depend on, and spelling suggestions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tasks {

// Without the leading and trailing characters that Python's str.strip() removes: Unicode white
// space and U+001C..U+001F. lm-eval strips questions so. Bytes that are not UTF-8 stay.
std::string_view strip(std::string_view);

// Code points of UTF-8 text, as Python's len() counts them. A stray byte counts as one.
size_t count_characters(std::string_view);

// The candidate with the smallest edit distance to `name`, or empty when none is near.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

// For messages: control characters escaped, at most 80 bytes, in double quotes.
std::string quote(std::string_view);

}  // namespace tasks
