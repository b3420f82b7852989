#include "tasks/category_report.h"

namespace tasks {
namespace {

CategoryScore score_category(const std::string& category, const std::vector<Group>& members) {
  CategoryScore out;
  out.category = category;
  out.n_subjects = static_cast<int>(members.size());
  for (const Group& g : members) out.n += static_cast<int64_t>(g.values.size());
  out.micro = micro_mean(members);
  out.macro = macro_mean(members);
  out.pooled_standard_error = pooled_standard_error(members);
  return out;
}

}  // namespace

std::vector<CategoryScore> score_categories(
    std::span<const Group> subjects,
    const std::map<std::string, std::string>& subject_to_category) {
  std::map<std::string, std::vector<Group>> members;
  std::vector<Group> strays;
  for (const Group& g : subjects) {
    if (g.values.empty()) continue;
    const auto it = subject_to_category.find(g.name);
    (it == subject_to_category.end() ? strays : members[it->second]).push_back(g);
  }
  std::vector<CategoryScore> out;
  for (const auto& [category, groups] : members) out.push_back(score_category(category, groups));
  if (!strays.empty()) out.push_back(score_category("uncategorised", strays));
  return out;
}

}  // namespace tasks
