#include "tasks/score.h"

#include <array>

namespace tasks {
namespace {
constexpr std::array<std::string_view, 14> kNames = {
    "passed",     "wrong",        "error",        "timeout_cpu", "timeout_wall",
    "memory",     "output_limit", "crash_signal", "policy_kill", "protocol",
    "load_error", "too_long",     "infra",        "not_run"};
}  // namespace

std::string_view verdict_name(Verdict v) { return kNames[static_cast<size_t>(v)]; }

std::optional<Verdict> verdict_from_name(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Verdict>(i);
  return std::nullopt;
}

}  // namespace tasks
