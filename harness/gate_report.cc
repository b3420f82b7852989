#include "harness/gate_report.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "harness/compare_report.h"
#include "harness/json_number.h"
#include "harness/text_table.h"

namespace harness {
namespace {

using nlohmann::json;

constexpr size_t kSummaryLimit = size_t{1} << 20;     // of the service, for all of the step
constexpr size_t kSummaryBudget = size_t{200} << 10;  // of this report
constexpr int64_t kFlips = 20;

const char* effect_name(CheckResult::Effect e) {
  constexpr const char* kNames[] = {"", "warning", "STOP"};
  return kNames[static_cast<size_t>(e)];
}

json check_json(const CheckResult& r) {
  constexpr const char* kGroups[] = {"completeness", "comparability", "compute", "accuracy"};
  return {{"check", r.name},
          {"group", kGroups[static_cast<size_t>(r.group)]},
          {"severity", severity_name(r.severity)},
          {"verdict", verdict_name(r.verdict)},
          {"outcome", r.outcome},
          {"stops", r.effect == CheckResult::Effect::stop},
          {"warns", r.effect == CheckResult::Effect::warn},
          {"n", r.n},
          {"baseline", json_number(r.baseline)},
          {"candidate", json_number(r.candidate)},
          {"difference", json_number(r.difference)},
          {"interval", r.interval ? json{r.interval->lower, r.interval->upper} : json()},
          {"level", json_number(r.level)},
          {"margin", json_number(r.margin)},
          {"text", r.text}};
}

json gated_run_json(const ComparedRun& r) {
  return {{"run", r.info.run.run_uuid}, {"db", r.db}, {"policy", r.policy.label}};
}

}  // namespace

std::string render_gate(const GateReport& report, const GatePolicy& policy, const Comparison& c,
                        Format format) {
  if (format == Format::json) {
    json j{{"schema_version", 1},
           {"gate_policy", {{"name", policy.name}, {"content", json::parse(policy.json)}}},
           {"baseline", gated_run_json(c.a)},
           {"candidate", gated_run_json(c.b)},
           {"checks", json::array()},
           {"exit_code", report.exit_code},
           {"verdict", report.last_line}};
    for (const CheckResult& r : report.checks) j["checks"].push_back(check_json(r));
    return j.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  }
  TextTable t(
      {{"check"}, {"severity"}, {"verdict"}, {"outcome"}, {"n", Align::right}, {"figures"}, {""}});
  for (const CheckResult& r : report.checks)
    t.add({printable(r.name), severity_name(r.severity), verdict_name(r.verdict), r.outcome,
           r.n > 0 ? std::to_string(r.n) : "", r.text, effect_name(r.effect)});
  if (format == Format::table)
    return "A is the baseline, B the candidate\n\n" + render_facts(c, format) + "\n" +
           t.terminal() + "\n" + report.last_line + "\n";
  std::string out = "## moeval gate\n\n**" + report.last_line + "**\n\n" + t.markdown() +
                    "\nA is the baseline, B the candidate.\n\n" + render_facts(c, format);
  out += "\n<details><summary>comparison</summary>\n\n" + render_comparison(c, format, kFlips) +
         "\n</details>\n\n" + report.last_line + "\n";
  return out;
}

std::string append_summary(const std::string& path, const std::string& markdown) {
  std::error_code error;
  const auto size = std::filesystem::exists(path, error)
                        ? static_cast<size_t>(std::filesystem::file_size(path, error))
                        : 0;
  if (error) return error.message();
  const size_t room = std::min(kSummaryBudget, kSummaryLimit > size ? kSummaryLimit - size : 0);
  std::string text = markdown;
  if (text.size() > room) {
    constexpr std::string_view kCut = "\n\nThe rest is left out: a step's summary is limited.\n";
    if (room < kCut.size()) return "is full";
    const size_t end = text.rfind('\n', room - kCut.size());
    text = text.substr(0, end == std::string::npos ? 0 : end) + std::string(kCut);
  }
  std::ofstream out(path, std::ios::binary | std::ios::app);
  out << text;
  out.close();
  return out ? "" : std::strerror(errno);
}

}  // namespace harness
