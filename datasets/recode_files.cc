#include "datasets/recode_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace datasets {

std::span<const RecodeMethod> recode_methods() {
  static constexpr std::array<RecodeMethod, 29> kAll = {{
      {"BackTranslation", "nlaugmenter", 1},
      {"ButterFingersPerturbation", "nlaugmenter", 10},
      {"ChangeCharCase", "nlaugmenter", 10},
      {"EnglishInflectionalVariation", "nlaugmenter", 10},
      {"SwapCharactersPerturbation", "nlaugmenter", 10},
      {"SynonymInsertion", "nlaugmenter", 10},
      {"SynonymSubstitution", "nlaugmenter", 10},
      {"TenseTransformationFuture", "nlaugmenter", 1},
      {"TenseTransformationPast", "nlaugmenter", 1},
      {"WhitespacePerturbation", "nlaugmenter", 10},
      {"FuncRenameButterFinger", "func_name", 10},
      {"FuncRenameCamelCase", "func_name", 1},
      {"FuncRenameChangeChar", "func_name", 10},
      {"FuncRenameInflectionalVariation", "func_name", 10},
      {"FuncRenameSwapChar", "func_name", 10},
      {"FuncRenameSynonymSub", "func_name", 10},
      {"DeadCodeInserter", "natgen", 10},
      {"DeadCodeInserterLast", "natgen", 1},
      {"ForWhileTransformer", "natgen", 1},
      {"OperandSwap", "natgen", 1},
      {"VarRenamerCB", "natgen", 1},
      {"VarRenamerNaive", "natgen", 1},
      {"VarRenamerRN", "natgen", 10},
      {"doc2comments", "format", 1},
      {"new_line_aftercode", "format", 1},
      {"new_line_afterdoc", "format", 1},
      {"new_lines", "format", 10},
      {"split_lines", "format", 1},
      {"tab_indent", "format", 1},
  }};
  return kAll;
}

const RecodeMethod* find_recode_method(std::string_view name) {
  const auto all = recode_methods();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& m) { return m.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::string recode_path(const RecodeMethod& m, int draw) {
  return fmt::format("perturbed_finalized/humaneval/full/{}/humaneval_{}_s{}.jsonl", m.folder,
                     m.name, draw);
}

}  // namespace datasets
