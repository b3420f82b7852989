#include "harness/stored_shift.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "harness/recode.h"
#include "results/store_error.h"
#include "tasks/strict_json.h"

namespace harness {

std::string shift_config(const tasks::Shift& s) {
  nlohmann::json j{{"guarantee", tasks::guarantee_name(tasks::guarantee_of(s))}};
  if (!s.text.empty()) j["text"] = s.text;
  if (s.forms) j["data_sha256"] = s.forms->sha256;
  return j.dump();
}

tasks::Shift stored_shift(const results::ShiftRow& row, const std::string& data,
                          bool allow_unverified) {
  tasks::Shift shift{tasks::ShiftFamily::option_order, static_cast<int>(row.severity)};
  // A sweep turns more than four options by more places than there are severities.
  if (row.name == tasks::shift_name(shift)) return shift;
  const auto label = fmt::format("{}:{}", row.name, row.severity);
  try {
    shift = tasks::parse_shift(label);
    const auto config = nlohmann::json::parse(row.config_json);
    if (config.contains("text")) shift.text = config.at("text").get<std::string>();
    shift = with_official_file(shift, data, allow_unverified);
    if (shift.forms && shift.forms->sha256 != config.at("data_sha256"))
      throw results::FingerprintMismatch(
          fmt::format("shift {}: its official file has sha256 {}, the run used {}", label,
                      shift.forms->sha256, config.at("data_sha256").get<std::string>()));
  } catch (const tasks::TaskError& e) {
    throw results::FingerprintMismatch(e.what());
  } catch (const nlohmann::json::exception& e) {
    throw results::FingerprintMismatch(fmt::format("shift {}: its row: {}", label, e.what()));
  }
  if (tasks::shift_version(shift) != row.version)
    throw results::FingerprintMismatch(
        fmt::format("shift {}: this program makes version {}, the run used {}", label,
                    tasks::shift_version(shift), row.version));
  return shift;
}

}  // namespace harness
