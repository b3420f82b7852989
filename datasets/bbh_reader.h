// Owns the reader of BIG-Bench Hard (Suzgun et al. 2022): bbh/<task>.json with the questions, and
// cot-prompts/<task>.txt with what the authors put before them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/sample.h"

namespace datasets {

// Names of the tasks in FOLDER/bbh, sorted. DataError: no such folder, no file <task>.json in it, a
// name that is not lower-case letters, digits and underscores.
std::vector<std::string> list_bbh_tasks(const std::filesystem::path& folder);

// Sample: id "bbh/<task>/<index from 0>", subset = task. DataError with file and example: not one
// line that is an object of canary and examples, an example that is not input and target.
std::vector<Sample> parse_bbh(std::string_view bytes, const std::string& file,
                              std::string_view task);

// Question and answer of a demonstration are joined by this sentence.
inline constexpr std::string_view kBbhThink = "\nA: Let's think step by step.";

struct BbhPrompt {
  std::string instruction;
  // id "bbh/<task>/dev/<index>", split dev. reference = the worked answer with the white space that
  // the file has before it: a line end, in sports_understanding a blank.
  std::vector<Sample> demonstrations;
};

// The file is a line with the canary, a line "-----", and the prompt: the instruction, then
// examples "Q: <input>" kBbhThink <reference>, a blank line before each. DataError with file and
// line where it is not.
BbhPrompt parse_bbh_prompt(std::string_view bytes, const std::string& file, std::string_view task);

}  // namespace datasets
