// Owns the way from scores per subject to scores per category under a named map.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tasks/metrics.h"

namespace tasks {

struct CategoryScore {
  std::string category;
  int n_subjects = 0;
  int64_t n = 0;
  std::optional<double> micro, macro;
  std::optional<double> pooled_standard_error;
};

// Subjects without values are left out. Subjects that the map lacks are under "uncategorised",
// last; other categories are sorted by name.
std::vector<CategoryScore> score_categories(
    std::span<const Group> subjects, const std::map<std::string, std::string>& subject_to_category);

}  // namespace tasks
