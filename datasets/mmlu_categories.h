// Owns MMLU's 57 subjects and their four categories, in both maps that published results use.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace datasets {

enum class MmluCategory { stem, humanities, social_sciences, other };
inline constexpr int kMmluCategories = 4;

// original: hendrycks/test categories.py, anatomy belongs to other (health).
// lm_eval: lm-evaluation-harness and opencompass, anatomy belongs to STEM. No other subject
// differs.
enum class MmluCategoryMap { original, lm_eval };

struct MmluSubject {
  std::string_view name;  // as in the file name
  MmluCategory original;
  MmluCategory lm_eval;
};

// Sorted by name.
const std::array<MmluSubject, 57>& mmlu_subjects();

// Empty when the subject is none of the 57.
std::optional<MmluCategory> mmlu_category(std::string_view subject, MmluCategoryMap);

std::string_view mmlu_category_name(MmluCategory);         // "social sciences"
std::string_view mmlu_category_map_name(MmluCategoryMap);  // "original", "lm-eval"

}  // namespace datasets
