#include "datasets/mmlu_categories.h"

#include <algorithm>

namespace datasets {
namespace {

constexpr std::array<MmluSubject, 57> kSubjects{{
    {"abstract_algebra", MmluCategory::stem, MmluCategory::stem},
    {"anatomy", MmluCategory::other, MmluCategory::stem},
    {"astronomy", MmluCategory::stem, MmluCategory::stem},
    {"business_ethics", MmluCategory::other, MmluCategory::other},
    {"clinical_knowledge", MmluCategory::other, MmluCategory::other},
    {"college_biology", MmluCategory::stem, MmluCategory::stem},
    {"college_chemistry", MmluCategory::stem, MmluCategory::stem},
    {"college_computer_science", MmluCategory::stem, MmluCategory::stem},
    {"college_mathematics", MmluCategory::stem, MmluCategory::stem},
    {"college_medicine", MmluCategory::other, MmluCategory::other},
    {"college_physics", MmluCategory::stem, MmluCategory::stem},
    {"computer_security", MmluCategory::stem, MmluCategory::stem},
    {"conceptual_physics", MmluCategory::stem, MmluCategory::stem},
    {"econometrics", MmluCategory::social_sciences, MmluCategory::social_sciences},
    {"electrical_engineering", MmluCategory::stem, MmluCategory::stem},
    {"elementary_mathematics", MmluCategory::stem, MmluCategory::stem},
    {"formal_logic", MmluCategory::humanities, MmluCategory::humanities},
    {"global_facts", MmluCategory::other, MmluCategory::other},
    {"high_school_biology", MmluCategory::stem, MmluCategory::stem},
    {"high_school_chemistry", MmluCategory::stem, MmluCategory::stem},
    {"high_school_computer_science", MmluCategory::stem, MmluCategory::stem},
    {"high_school_european_history", MmluCategory::humanities, MmluCategory::humanities},
    {"high_school_geography", MmluCategory::social_sciences, MmluCategory::social_sciences},
    {"high_school_government_and_politics", MmluCategory::social_sciences,
     MmluCategory::social_sciences},
    {"high_school_macroeconomics", MmluCategory::social_sciences, MmluCategory::social_sciences},
    {"high_school_mathematics", MmluCategory::stem, MmluCategory::stem},
    {"high_school_microeconomics", MmluCategory::social_sciences, MmluCategory::social_sciences},
    {"high_school_physics", MmluCategory::stem, MmluCategory::stem},
    {"high_school_psychology", MmluCategory::social_sciences, MmluCategory::social_sciences},
    {"high_school_statistics", MmluCategory::stem, MmluCategory::stem},
    {"high_school_us_history", MmluCategory::humanities, MmluCategory::humanities},
    {"high_school_world_history", MmluCategory::humanities, MmluCategory::humanities},
    {"human_aging", MmluCategory::other, MmluCategory::other},
    {"human_sexuality", MmluCategory::social_sciences, MmluCategory::social_sciences},
    {"international_law", MmluCategory::humanities, MmluCategory::humanities},
    {"jurisprudence", MmluCategory::humanities, MmluCategory::humanities},
    {"logical_fallacies", MmluCategory::humanities, MmluCategory::humanities},
    {"machine_learning", MmluCategory::stem, MmluCategory::stem},
    {"management", MmluCategory::other, MmluCategory::other},
    {"marketing", MmluCategory::other, MmluCategory::other},
    {"medical_genetics", MmluCategory::other, MmluCategory::other},
    {"miscellaneous", MmluCategory::other, MmluCategory::other},
    {"moral_disputes", MmluCategory::humanities, MmluCategory::humanities},
    {"moral_scenarios", MmluCategory::humanities, MmluCategory::humanities},
    {"nutrition", MmluCategory::other, MmluCategory::other},
    {"philosophy", MmluCategory::humanities, MmluCategory::humanities},
    {"prehistory", MmluCategory::humanities, MmluCategory::humanities},
    {"professional_accounting", MmluCategory::other, MmluCategory::other},
    {"professional_law", MmluCategory::humanities, MmluCategory::humanities},
    {"professional_medicine", MmluCategory::other, MmluCategory::other},
    {"professional_psychology", MmluCategory::social_sciences, MmluCategory::social_sciences},
    {"public_relations", MmluCategory::social_sciences, MmluCategory::social_sciences},
    {"security_studies", MmluCategory::social_sciences, MmluCategory::social_sciences},
    {"sociology", MmluCategory::social_sciences, MmluCategory::social_sciences},
    {"us_foreign_policy", MmluCategory::social_sciences, MmluCategory::social_sciences},
    {"virology", MmluCategory::other, MmluCategory::other},
    {"world_religions", MmluCategory::humanities, MmluCategory::humanities},
}};

}  // namespace

const std::array<MmluSubject, 57>& mmlu_subjects() { return kSubjects; }

std::optional<MmluCategory> mmlu_category(std::string_view subject, MmluCategoryMap map) {
  const auto it =
      std::lower_bound(kSubjects.begin(), kSubjects.end(), subject,
                       [](const MmluSubject& s, std::string_view n) { return s.name < n; });
  if (it == kSubjects.end() || it->name != subject) return std::nullopt;
  return map == MmluCategoryMap::original ? it->original : it->lm_eval;
}

std::string_view mmlu_category_name(MmluCategory category) {
  switch (category) {
    case MmluCategory::stem:
      return "STEM";
    case MmluCategory::humanities:
      return "humanities";
    case MmluCategory::social_sciences:
      return "social sciences";
    case MmluCategory::other:
      return "other";
  }
  return "?";
}

std::string_view mmlu_category_map_name(MmluCategoryMap map) {
  return map == MmluCategoryMap::original ? "original" : "lm-eval";
}

}  // namespace datasets
