// Owns the reader of CMMLU (Li et al. 2023): <root>/{dev,test}/<subject>.csv with a header row and
// a column without a name that numbers the rows.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/sample.h"

namespace datasets {

// Samples of one file, ids "cmmlu/<subject>/<split>/<index from 0>". Columns go by name: "",
// Question, A, B, C, D, Answer. DataError with file and line: a column missing, a row whose number
// is not its place, an empty question or option, an answer outside A..D.
std::vector<Sample> parse_cmmlu_csv(std::string_view bytes, const std::string& file,
                                    std::string_view subject, std::string_view split);

// What the set's Chinese prompts call the subject of each file.
const std::map<std::string, std::string>& cmmlu_subject_names();

}  // namespace datasets
