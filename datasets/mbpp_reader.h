// Owns the reader of MBPP (Austin et al. 2021), mbpp.jsonl: short Python problems in words, each
// with three assertions that its prompt shows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "datasets/sample.h"

namespace datasets {

// `bytes` may be gzip. The demonstrations of the paper's prompt (task ids 2, 3, 4; split "dev"),
// then its test problems (11 to 510; split "test"); of others the id alone is read. Sample: id
// "MBPP/11"; input = the description, the paper's sentence about tests, and the three assertions;
// reference = the solution as it is in the file (most have CRLF line ends); entry_point = the one
// function that the solution defines and every assertion calls; test = a check() of the assertions,
// in which names that `setup` assigns stand for the program's own (by_name of the sandbox).
// DataError with file and line: a field missing or of another type, an id that is no positive
// integer or is there twice, other than three assertions, one of several lines, no such function or
// several.
std::vector<Sample> parse_mbpp(std::string_view bytes, const std::string& file);

}  // namespace datasets
