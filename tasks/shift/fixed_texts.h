// Owns families that put one text of a closed list before the item: spoofs and wrappers.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tasks/shift/family.h"

namespace tasks::shift {

// Texts of one severity; a higher severity puts its text before those of the lower ones.
using FixedTexts = std::span<const std::string_view>;

// The drawn texts of severities `severity` .. 1, highest first, each on lines of its own.
std::string drawn_texts(std::span<const FixedTexts> by_severity, const Request&,
                        const char* family);

// Whether `text` is one of those that drawn_texts() can give at this severity.
bool is_of_texts(std::span<const FixedTexts> by_severity, int severity, std::string_view text);

}  // namespace tasks::shift
