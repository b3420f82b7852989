#include "tasks/code_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tasks/stops.h"

namespace tasks {

CodeTask::CodeTask(TaskSpec spec) : spec_(std::move(spec)) {
  metric_ = "pass@1";
  switch (spec_.extraction) {
    case TaskSpec::Extraction::completion:
      scorer_ = "python_tests_completion/1";
      break;
    case TaskSpec::Extraction::before_fence:
      scorer_ = "python_tests_before_fence/1";
      break;
    case TaskSpec::Extraction::program:
      scorer_ = "python_tests_program/1";
      break;
  }
}

Query CodeTask::query(const datasets::Sample& sample, const datasets::Dataset& data, int) const {
  Query q;
  q.kind = Query::Kind::generate;
  q.sample_id = sample.id;
  if (spec_.is_chat) {
    q.is_chat = true;
    q.turns.push_back(
        {"user", spec_.user.render({{"prompt", sample.input}}, "prompt", &q.question)});
    q.prefill = spec_.prefill.render({{"prompt", sample.input}});
  } else {
    if (data.demonstrations.size() < static_cast<size_t>(spec_.num_fewshot))
      throw TaskError(fmt::format("task {}: data set {} has {} demonstrations, num_fewshot is {}",
                                  spec_.name, data.name, data.demonstrations.size(),
                                  spec_.num_fewshot));
    for (size_t i = 0; i < static_cast<size_t>(spec_.num_fewshot); ++i) {
      const datasets::Sample& row = data.demonstrations[i];
      q.demonstrations.push_back(spec_.item.render({{"prompt", row.input}}) +
                                 spec_.answer.render({{"solution", row.reference}}) +
                                 spec_.separator);
    }
    q.item = spec_.item.render({{"prompt", sample.input}}, "prompt", &q.question);
  }
  q.truncation = spec_.truncation;
  q.max_prompt_tokens = spec_.max_prompt_tokens;
  q.max_new_tokens = spec_.max_new_tokens;
  q.temperature = spec_.temperature;
  q.top_p = spec_.top_p;
  q.stops = spec_.stops;
  q.reference = sample.reference;
  return q;
}

std::string CodeTask::completion(std::string_view answer) const {
  answer = cut_at_stop(answer, spec_.stops);
  if (spec_.extraction == TaskSpec::Extraction::before_fence) answer = before_fence(answer);
  return std::string(answer);
}

Score CodeTask::score(const datasets::Sample& sample, const Answer& answer,
                      Sandbox* sandbox) const {
  Score score;
  if (answer.reference_logprob && std::isfinite(*answer.reference_logprob))
    score.gold_nll = -*answer.reference_logprob;
  switch (answer.status) {
    case Answer::Status::ok:
      break;
    case Answer::Status::too_long:
      score.verdict = Verdict::too_long;
      score.detail = "the prompt is too long";
      return score;
    case Answer::Status::not_finite:
      score.verdict = Verdict::wrong;
      score.detail = "the model's scores are not finite";
      return score;
    case Answer::Status::cancelled:
      score.state = Score::State::unscored;
      score.verdict = Verdict::not_run;
      score.detail = "cancelled";
      return score;
  }

  CodeProblem problem{"", completion(answer.text), sample.test, sample.entry_point};
  if (spec_.extraction != TaskSpec::Extraction::program) problem.prompt = sample.input;
  score.extracted = problem.prompt + problem.completion;
  if (!sample.setup.empty()) problem.completion += "\n" + sample.setup;
  if (sandbox == nullptr) {
    score.state = Score::State::unscored;
    score.verdict = Verdict::not_run;
    score.detail = "no sandbox";
    return score;
  }
  SandboxLimits limits;
  limits.cpu_s = spec_.cpu_s * std::max(1.0, sandbox->machine_factor());
  limits.wall_s = std::max(limits.wall_s, 10 * limits.cpu_s);
  const SandboxReport report = sandbox->judge(problem, limits);
  score.verdict = report.verdict;
  score.value = report.verdict == Verdict::passed ? 1 : 0;
  if (report.verdict == Verdict::infra || report.verdict == Verdict::not_run)
    score.state = Score::State::unscored;
  score.detail = report.detail;
  if (answer.hit_length_limit)
    score.detail +=
        fmt::format("{}answer reached the token limit", score.detail.empty() ? "" : "; ");
  return score;
}

}  // namespace tasks
