// Owns the reader of HumanEval's JSON Lines (HumanEval+ in its "OriginFmt" has the same fields) and
// of samples files: completions that another program wrote for its problems.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "datasets/sample.h"

namespace datasets {

// `bytes` may be gzip. Sample: id = task_id, input = prompt, reference = canonical_solution, test,
// entry_point; split "test"; other fields are ignored. Nothing is trimmed. Entry points repeat:
// key by id. DataError with file, line, both values and the number of bad lines: a field missing or
// no string, an empty id, prompt or test, an id twice, an entry point that is no Python identifier.
std::vector<Sample> parse_humaneval(std::string_view bytes, const std::string& file);

struct CodeCompletion {
  std::string task_id;
  std::string completion;  // may be empty
};

// Lines {"task_id": ..., "completion": ...}; several per task, in file order. `bytes` may be gzip.
std::vector<CodeCompletion> parse_completions(std::string_view bytes, const std::string& file);

}  // namespace datasets
