// Owns which files ReCode (Wang et al. 2022) has of HumanEval: its perturbations and their draws.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace datasets {

struct RecodeMethod {
  std::string_view name;    // as in the files' names: "ButterFingersPerturbation"
  std::string_view folder;  // nlaugmenter, func_name, natgen, format: the kind of change
  int draws = 1;            // files, numbered from 0
  // Its prompts go on with half of the solution: what they change is that prompt
  // (nominal/humaneval_partial.jsonl), not HumanEval's own.
  bool is_partial() const { return folder == "natgen" || folder == "format"; }
};

std::span<const RecodeMethod> recode_methods();            // 29
const RecodeMethod* find_recode_method(std::string_view);  // null: there is none

// "perturbed_finalized/humaneval/full/format/humaneval_new_lines_s3.jsonl", in ReCode's folder.
std::string recode_path(const RecodeMethod&, int draw);

}  // namespace datasets
