// Owns DataShift: what a task's questions are beside MMLU and HumanEval, which predictors of
// complexity are mostly trained on. A label of whole data sets; changes of single questions are
// shift.h's.
#pragma once

#include <string_view>

namespace tasks {

enum class DataShift {
  none,           // the same, or not said
  domain,         // other kinds of question
  language,       // another language, question by question unpaired
  difficulty,     // the same domain, harder: not out of distribution
  label_quality,  // the same questions, checked: not out of distribution
  safety          // prompts without right answers
};

std::string_view data_shift_name(DataShift);  // "none", "domain", ...
// In words for a reader; empty for none.
std::string_view data_shift_note(DataShift);

// Of a resolved task file (Task::config_json): its key "data_shift". none where there is no such
// key.
DataShift data_shift_of(std::string_view config_json);

}  // namespace tasks
