// Owns the reader of MMLU-Pro (Wang et al. 2024): JSON Lines, 3 to 10 options a question.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "datasets/sample.h"

namespace datasets {

// `bytes` may be gzip. Ids "mmlu_pro/<question_id>", subset = category with '_' for blanks; there
// are no demonstrations. Options may be equal. DataError with file, line and the number of bad
// lines: a field missing, a question_id that is no positive integer or stands there twice, a
// category of other than a-z and blanks, too few or too many options, an empty question or option,
// an answer that is no letter of an option or not the one of answer_index.
std::vector<Sample> parse_mmlu_pro(std::string_view bytes, const std::string& file);

}  // namespace datasets
