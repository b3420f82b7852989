// Owns the reader of MMLU-Redux (Gema et al. 2024): MMLU questions whose keys people looked at
// again, one CSV a subject, mmlu_<subject>.csv.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "datasets/sample.h"

namespace datasets {

// The questions of one file that were found to be right, ids "mmlu_redux/<subject>/<row>": the row
// in the file from 0, so that a question keeps its id whatever is dropped. Columns question,
// choices (a Python list of 4 strings), answer (0 to 3) and error_type, others ignored. What the
// published files need:
//   - fields are parted by ';' where the header has that and no comma
//   - error_type is one of seven labels, in any case, with blanks or '_'; only "ok" is kept
//   - a byte 0xD5 that is no UTF-8 is read as the right quote that it is in Mac Roman (one file was
//     saved in that; it has no other byte above 0x7F); any other such byte is an error
// DataError with file and line: a column missing, choices or answer that are none, an empty
// question, an unknown error_type; in rows that are not kept too.
std::vector<Sample> parse_mmlu_redux_csv(std::string_view bytes, const std::string& file,
                                         std::string_view subject);

}  // namespace datasets
