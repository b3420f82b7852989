#include "tasks/data_shift.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string>

namespace tasks {
namespace {

struct DataShiftText {
  DataShift shift;
  std::string_view name, note;
};

constexpr std::array kDataShifts = {
    DataShiftText{DataShift::none, "none", ""},
    DataShiftText{DataShift::domain, "domain", "another domain than MMLU and HumanEval"},
    DataShiftText{DataShift::language, "language",
                  "another language; its questions have no twins in MMLU"},
    DataShiftText{DataShift::difficulty, "difficulty",
                  "harder questions of MMLU's domain, many of them MMLU's own: not out of "
                  "distribution"},
    DataShiftText{DataShift::label_quality, "label_quality",
                  "MMLU's own questions with checked labels: not out of distribution"},
    DataShiftText{DataShift::safety, "safety", "prompts without right answers"}};

}  // namespace

std::string_view data_shift_name(DataShift s) {
  return kDataShifts.at(static_cast<size_t>(s)).name;
}

std::string_view data_shift_note(DataShift s) {
  return kDataShifts.at(static_cast<size_t>(s)).note;
}

DataShift data_shift_of(std::string_view config_json) {
  const auto config = nlohmann::json::parse(config_json, nullptr, false);
  if (!config.is_object()) return DataShift::none;
  const auto name = config.value("data_shift", nlohmann::json());
  for (const DataShiftText& s : kDataShifts)
    if (name == std::string(s.name)) return s.shift;
  return DataShift::none;
}

}  // namespace tasks
