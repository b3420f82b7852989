// Owns Score: a grade, or explicitly none. Unscored is neither right nor wrong.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tasks {

// Why a code answer failed; `passed` for right ones. choose tasks use passed and wrong only.
// infra: our machinery failed; never counted as wrong, makes the run incomplete.
enum class Verdict {
  passed,
  wrong,
  error,
  timeout_cpu,
  timeout_wall,
  memory,
  output_limit,
  crash_signal,
  policy_kill,
  protocol,
  load_error,
  too_long,
  infra,
  not_run
};
std::string_view verdict_name(Verdict);
std::optional<Verdict> verdict_from_name(std::string_view);

struct Score {
  enum class State { graded, unscored };
  State state = State::graded;
  Verdict verdict = Verdict::wrong;
  double value = 0;                // 0 or 1
  std::optional<double> gold_nll;  // nats: of the right option, or of the reference solution
  std::optional<double> margin;    // nats: best right minus best wrong option, task's own scoring
  std::string extracted;           // chosen letter, or program that was judged
  std::string detail;              // one line
};

}  // namespace tasks
