// Owns outside difficulty: which MMLU questions two public models answered right, a weaker and a
// stronger one (evaluation files of RouteLLM, Ong et al. 2024).
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace datasets {

// Easy first.
enum class OutsideDifficulty { both_right, one_right, none_right };
inline constexpr OutsideDifficulty kOutsideDifficulties[] = {
    OutsideDifficulty::both_right, OutsideDifficulty::one_right, OutsideDifficulty::none_right};
std::string_view outside_difficulty_name(OutsideDifficulty);  // "both right", ...

struct OutsideLabels {
  std::vector<std::string> models;                     // as the files call them
  std::string origin;                                  // official | unverified
  std::map<std::string, OutsideDifficulty> of_sample;  // by sample id, "mmlu/virology/test/12"
};

// Labels of one subject: header "prompt" and one column a model, values True and False, a row a
// question in the order of MMLU's test file. Adds to `out`. DataError with file and line: other
// columns, another value, other models than in the files before.
void parse_outside_csv(std::string_view bytes, const std::string& file, std::string_view subject,
                       OutsideLabels* out);

// mmlu_<subject>.csv[.gz] in ROOT/routellm/mmlu/responses, ROOT/routellm/evals/mmlu/responses,
// ROOT/evals/mmlu/responses or ROOT/mmlu/responses; the first root that has any. Nothing: no root
// has them. DataError: a file missing, damaged, or with another SHA-256 than pinned.
std::optional<OutsideLabels> load_outside_labels(const std::vector<std::filesystem::path>& roots,
                                                 bool allow_unverified = false);

}  // namespace datasets
