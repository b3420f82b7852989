// Owns the reader of GSM8K (Cobbe et al. 2021), test.jsonl and train.jsonl: word problems of
// primary school, each with a worked answer that ends in the number.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "datasets/sample.h"

namespace datasets {

// How many rows of the training file are demonstrations: its first ones. lm-eval draws five for
// every question with Python's generator instead, which is not imitated here.
inline constexpr size_t kGsm8kShown = 5;

// `bytes` may be gzip. Sample: id "gsm8k/<split>/<index from 0>"; reference = the worked answer as
// it is in the file; target = what follows its "#### ", without the commas between thousands.
// DataError with file and line: a field missing, empty or of another type, other than one "####", a
// final answer that is no whole number.
std::vector<Sample> parse_gsm8k(std::string_view bytes, const std::string& file,
                                std::string_view split);

}  // namespace datasets
