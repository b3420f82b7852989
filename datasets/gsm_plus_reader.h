// Owns the reader of GSM-Plus (Li et al. 2024), gsmplus_testmini.jsonl: questions of GSM8K's test
// set, each changed in eight ways.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "datasets/sample.h"

namespace datasets {

// The target of a question that lacks what its answer needs: no number is right.
inline constexpr std::string_view kGsmPlusNone = "None";

// `bytes` may be gzip. Sample: id "gsm_plus/<index from 0>"; subset = the kind of change with its
// blanks as underscores ("adding_operation"); reference = the worked answer; target = "4.33", "5/8"
// or "None". DataError with file and line: a field missing, empty or of another type, a kind that
// is no words, a target of another form.
std::vector<Sample> parse_gsm_plus(std::string_view bytes, const std::string& file);

}  // namespace datasets
