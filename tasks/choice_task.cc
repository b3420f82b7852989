#include "tasks/choice_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "tasks/text.h"

namespace tasks {
namespace {

std::string letter(size_t i) { return std::string(1, static_cast<char>('A' + i)); }

std::string subject_of(const datasets::Sample& sample, const datasets::Dataset& dataset) {
  const auto name = dataset.subject_names.find(sample.subset);
  if (name != dataset.subject_names.end()) return name->second;
  std::string out = sample.subset;
  std::replace(out.begin(), out.end(), '_', ' ');
  return out;
}

using Symbols = std::vector<std::string>;

std::string label(const Symbols& symbols, size_t i) {
  return i < symbols.size() ? symbols[i] : letter(i);
}

std::string lettered_choices(const datasets::Sample& sample, const Symbols& symbols) {
  std::string out;
  for (size_t i = 0; i < sample.choices.size(); ++i)
    out += fmt::format("{}{}. {}", i == 0 ? "" : "\n", label(symbols, i), sample.choices[i]);
  return out;
}

// Position of the largest value; the first one on ties.
size_t argmax(const std::vector<double>& values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

double option_length(TaskSpec::Normalise rule, std::string_view choice, int n_tokens) {
  switch (rule) {
    case TaskSpec::Normalise::none:
      return 1;
    case TaskSpec::Normalise::chars:
      return static_cast<double>(count_characters(choice));
    case TaskSpec::Normalise::bytes:
      return static_cast<double>(choice.size());
    case TaskSpec::Normalise::tokens:
      return n_tokens;
  }
  return 1;
}

std::string_view scorer_name(TaskSpec::Normalise rule) {
  switch (rule) {
    case TaskSpec::Normalise::none:
      return "argmax_logprob/1";
    case TaskSpec::Normalise::chars:
      return "argmax_logprob_per_char/1";
    case TaskSpec::Normalise::bytes:
      return "argmax_logprob_per_byte/1";
    case TaskSpec::Normalise::tokens:
      return "argmax_logprob_per_token/1";
  }
  return "";
}

Score ungraded(Verdict verdict, std::string detail) {
  Score score;
  score.state = Score::State::unscored;
  score.verdict = verdict;
  score.detail = std::move(detail);
  return score;
}

Score wrong(Verdict verdict, std::string detail) {
  Score score;
  score.verdict = verdict;
  score.detail = std::move(detail);
  return score;
}

}  // namespace

ChoiceTask::ChoiceTask(TaskSpec spec) : spec_(std::move(spec)) {
  metric_ = spec_.normalise == TaskSpec::Normalise::none ? "acc" : "acc_norm";
  scorer_ = scorer_name(spec_.normalise);
}

bool ChoiceTask::has_lettered_options() const {
  return spec_.item.count("lettered_choices") > 0 && spec_.option.count("choice") == 0;
}

std::string ChoiceTask::render_item(const PromptTemplate& item, const std::string& subject,
                                    const datasets::Sample& sample,
                                    const std::vector<std::string>& symbols,
                                    std::pair<size_t, size_t>* question) const {
  const std::string_view text =
      spec_.strip_question ? strip(sample.input) : std::string_view(sample.input);
  const std::string choices = lettered_choices(sample, symbols);
  return item.render({{"subject", subject}, {"question", text}, {"lettered_choices", choices}},
                     "question", question);
}

std::string ChoiceTask::render_option(const datasets::Sample& sample,
                                      const std::vector<std::string>& symbols, size_t i) const {
  const std::string name = label(symbols, i);
  return spec_.option.render({{"letter", name}, {"choice", sample.choices[i]}});
}

Query ChoiceTask::query(const datasets::Sample& sample, const datasets::Dataset& dataset,
                        int wording) const {
  assert(wording >= 0 && wording < n_wordings());
  const bool own = wording == 0;
  const auto& other = own ? TaskSpec::Wording{} : spec_.wordings[static_cast<size_t>(wording - 1)];
  const PromptTemplate& header = own ? spec_.header : other.header;
  const PromptTemplate& item = own ? spec_.item : other.item;
  assert(sample.choices.size() <= 26);
  Query q;
  q.kind = Query::Kind::choose;
  q.sample_id = sample.id;
  const std::string subject = subject_of(sample, dataset);
  q.header = header.render({{"subject", subject}});
  for (const datasets::Sample& row : dataset.demonstrations) {
    if (static_cast<int>(q.demonstrations.size()) == spec_.num_fewshot) break;
    if (row.subset != sample.subset) continue;
    assert(row.answer >= 0 && static_cast<size_t>(row.answer) < row.choices.size());
    std::pair<size_t, size_t> unused;
    // Demonstrations show the labels that the question will show.
    q.demonstrations.push_back(render_item(item, subject, row, sample.symbols, &unused) +
                               render_option(row, sample.symbols, static_cast<size_t>(row.answer)) +
                               spec_.separator);
  }
  if (static_cast<int>(q.demonstrations.size()) < spec_.num_fewshot)
    throw TaskError(fmt::format(
        "task {}: {} has {} demonstrations in data set {}, num_fewshot is {}", spec_.name,
        quote(sample.subset), q.demonstrations.size(), dataset.name, spec_.num_fewshot));
  q.item = render_item(item, subject, sample, sample.symbols, &q.question);
  q.truncation = spec_.truncation;
  q.max_prompt_tokens = spec_.max_prompt_tokens;
  for (size_t i = 0; i < sample.choices.size(); ++i)
    q.options.push_back(render_option(sample, sample.symbols, i));
  return q;
}

Score ChoiceTask::score(const datasets::Sample& sample, const Answer& answer, Sandbox*) const {
  switch (answer.status) {
    case Answer::Status::ok:
      break;
    case Answer::Status::too_long:
      return wrong(Verdict::too_long, "the prompt is too long even without demonstrations");
    case Answer::Status::not_finite:
      return wrong(Verdict::wrong, "the model's scores are not finite");
    case Answer::Status::cancelled:
      return ungraded(Verdict::not_run, "cancelled");
  }
  const size_t n = sample.choices.size();
  if (answer.options.size() != n || sample.answer < 0 || static_cast<size_t>(sample.answer) >= n)
    return ungraded(Verdict::infra, fmt::format("{} option scores for {} choices, key {}",
                                                answer.options.size(), n, sample.answer));
  const auto gold = static_cast<size_t>(sample.answer);

  std::vector<double> plain, scored;
  for (size_t i = 0; i < n; ++i) {
    const OptionScore& option = answer.options[i];
    if (!std::isfinite(option.logprob))
      return wrong(Verdict::wrong, fmt::format("the score of option {} is not finite", letter(i)));
    const double length = option_length(spec_.normalise, sample.choices[i], option.n_tokens);
    plain.push_back(option.logprob);
    // An empty option divides by zero in lm-eval too: never the best one.
    scored.push_back(length > 0 ? option.logprob / length
                                : -std::numeric_limits<double>::infinity());
  }

  const size_t chosen = argmax(scored), chosen_plain = argmax(plain);
  Score score;
  score.value = chosen == gold ? 1 : 0;
  score.verdict = chosen == gold ? Verdict::passed : Verdict::wrong;
  score.extracted = letter(chosen);
  score.gold_nll = -plain[gold];
  double best_wrong = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < n; ++i)
    if (i != gold) best_wrong = std::max(best_wrong, scored[i]);
  if (std::isfinite(scored[gold]) && std::isfinite(best_wrong))
    score.margin = scored[gold] - best_wrong;
  score.detail = fmt::format("acc={}", chosen_plain == gold ? 1 : 0);
  if (spec_.normalise != TaskSpec::Normalise::none)
    score.detail += fmt::format(" acc_norm={}", chosen == gold ? 1 : 0);
  score.detail += fmt::format(" gold={}", letter(gold));
  return score;
}

}  // namespace tasks
