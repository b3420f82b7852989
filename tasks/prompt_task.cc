#include "tasks/prompt_task.h"

#include <cassert>

namespace tasks {

const std::string& PromptTask::metric() const {
  static const std::string kNone(kNoMetric);
  return kNone;
}

const std::string& PromptTask::scorer() const {
  static const std::string kName = "unmarked/1";
  return kName;
}

Query PromptTask::query(const datasets::Sample& sample, const datasets::Dataset&,
                        [[maybe_unused]] int wording) const {
  assert(wording == 0);
  Query q;
  q.sample_id = sample.id;
  q.item = spec_.item.render({{"prompt", sample.input}}, "prompt", &q.question);
  q.truncation = spec_.truncation;
  q.max_prompt_tokens = spec_.max_prompt_tokens;
  return q;
}

Score PromptTask::score(const datasets::Sample&, const Answer& answer, Sandbox*) const {
  Score score;
  score.state = Score::State::unscored;
  score.verdict = Verdict::not_run;
  score.detail = answer.status == Answer::Status::too_long     ? "the prompt is too long"
                 : answer.status == Answer::Status::not_finite ? "the model's scores are not finite"
                                                               : "nothing to mark";
  return score;
}

}  // namespace tasks
