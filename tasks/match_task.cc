#include "tasks/match_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "tasks/answer_match.h"
#include "tasks/stops.h"
#include "tasks/text.h"

namespace tasks {
namespace {

std::string match_subject(std::string_view subset) {
  std::string out(subset);
  std::replace(out.begin(), out.end(), '_', ' ');
  return out;
}

// On one line, without the quotes.
std::string match_shown(std::string_view text) {
  const std::string quoted = quote(text);
  return quoted.substr(1, quoted.size() - 2);
}

int match_bit(MatchRule rule, std::string_view text, std::string_view target) {
  return match_answer(rule, text, false, target).is_right ? 1 : 0;
}

}  // namespace

MatchTask::MatchTask(TaskSpec spec) : spec_(std::move(spec)) {
  scorer_ = match_rule_name(spec_.match_rule);
}

Query MatchTask::query(const datasets::Sample& sample, const datasets::Dataset& data,
                       [[maybe_unused]] int wording) const {
  assert(wording == 0);
  Query q;
  q.kind = Query::Kind::generate;
  q.sample_id = sample.id;
  std::string_view instruction;
  if (const auto it = data.instructions.find(sample.subset); it != data.instructions.end())
    instruction = it->second;
  else if (spec_.header.count("instruction") > 0)
    throw TaskError(fmt::format("task {}: data set {} has no instruction for {}", spec_.name,
                                data.name, quote(sample.subset)));
  q.header = spec_.header.render({{"instruction", instruction}});
  for (const datasets::Sample& row : data.demonstrations) {
    if (q.demonstrations.size() == static_cast<size_t>(spec_.num_fewshot)) break;
    if (!row.subset.empty() && row.subset != sample.subset) continue;
    q.demonstrations.push_back(
        spec_.item.render({{"subject", match_subject(row.subset)}, {"question", row.input}}) +
        spec_.answer.render({{"solution", row.reference}}) + spec_.separator);
  }
  if (q.demonstrations.size() < static_cast<size_t>(spec_.num_fewshot))
    throw TaskError(fmt::format(
        "task {}: {} has {} demonstrations in data set {}, num_fewshot is {}", spec_.name,
        quote(sample.subset), q.demonstrations.size(), data.name, spec_.num_fewshot));
  q.item =
      spec_.item.render({{"subject", match_subject(sample.subset)}, {"question", sample.input}},
                        "question", &q.question);
  q.truncation = spec_.truncation;
  q.max_prompt_tokens = spec_.max_prompt_tokens;
  q.max_new_tokens = spec_.max_new_tokens;
  q.temperature = spec_.temperature;
  q.top_p = spec_.top_p;
  q.stops = spec_.stops;
  q.reference = spec_.reference.render({{"solution", sample.reference}, {"target", sample.target}});
  return q;
}

Score MatchTask::score(const datasets::Sample& sample, const Answer& answer, Sandbox*) const {
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
  const std::string_view text = cut_at_stop(answer.text, spec_.stops);
  const Match m = match_answer(spec_.match_rule, text, answer.hit_length_limit, sample.target);
  score.value = m.is_right ? 1 : 0;
  score.verdict = m.is_right ? Verdict::passed : Verdict::wrong;
  if (m.answer) score.extracted = *m.answer;
  if (spec_.match_rule != MatchRule::answer_is)
    score.detail =
        fmt::format("strict={} flexible={} ", match_bit(MatchRule::gsm_strict, text, sample.target),
                    match_bit(MatchRule::gsm_flexible, text, sample.target));
  score.detail += fmt::format("gold={}", match_shown(sample.target));
  if (answer.hit_length_limit) score.detail += "; answer reached the token limit";
  return score;
}

}  // namespace tasks
