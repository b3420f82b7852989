#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "engine/convert/durable_file.h"
#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/gadget_search.h"
#include "harness/predictor.h"
#include "harness/progress.h"
#include "harness/question.h"
#include "harness/text_table.h"

namespace harness {
namespace {

void check_gadget(const GadgetOptions& o) {
  if (!std::filesystem::is_regular_file(o.predictor))
    throw UsageError(fmt::format("--predictor {}: there is no such file", o.predictor));
  if (o.search.seed > kMostSeed)
    throw UsageError(fmt::format("--seed {}: want at most {}", o.search.seed, kMostSeed));
  if (o.questions < 4) throw UsageError(fmt::format("--questions {}: want 4 or more", o.questions));
  const auto folder = std::filesystem::path(o.out).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder))
    throw UsageError(fmt::format("--out {}: there is no such folder", o.out));
}

// Question spans as a predictor sees them in a run, the questions as they are.
std::vector<std::string> question_texts(const RunSpec& spec, const LoadedModel& model) {
  const auto plan = make_plan(spec);
  if (plan.runs_code())
    throw UsageError(fmt::format(
        "--tasks {}: a gadget is searched for before questions; name a task that runs no code",
        fmt::join(spec.tasks, ",")));
  std::vector<std::string> out;
  for (const auto& a : plan.attempts)
    out.push_back(Question("", query_of(plan, spec, a), *model.tokenizer).text);
  return out;
}

std::string render(const Gadgets& g, Format format) {
  TextTable table({{"shift"},
                   {"tokens", Align::right},
                   {"mean k", Align::right},
                   {"with it", Align::right},
                   {"other questions", Align::right},
                   {"with it", Align::right},
                   {"text"}});
  for (const bool up : {true, false})
    for (int severity = 1; severity <= tasks::kMostSeverity; ++severity) {
      const auto family = up ? tasks::ShiftFamily::gadget_up : tasks::ShiftFamily::gadget_down;
      const tasks::Shift shift{family, severity};
      const Gadget& one = g.of(shift);
      table.add({tasks::shift_label(shift), std::to_string(one.tokens),
                 fmt::format("{:.2f}", one.k_before), fmt::format("{:.2f}", one.k_after),
                 fmt::format("{:.2f}", one.other_k_before),
                 fmt::format("{:.2f}", one.other_k_after), printable(one.text)});
    }
  return (format == Format::markdown ? table.markdown() : table.terminal()) +
         fmt::format(
             "\nSearched on {} questions of {}; the other {} were never shown to the "
             "search.\n",
             g.questions, g.tasks, g.other_questions);
}

}  // namespace

int command_gadget(const GadgetOptions& o) {
  check_gadget(o);
  RunSpec spec;
  spec.model = o.model;
  spec.tasks = o.tasks;
  spec.data = o.data;
  spec.allow_unverified = o.allow_unverified;
  spec.num_fewshot = 0;
  spec.sample = 2 * o.questions;
  spec.seed = o.search.seed;
  spec.validate();
  const auto model = load_model(spec);
  const auto policy = load_predictor(o.predictor, model);
  const auto texts = question_texts(spec, model);
  if (texts.size() < 4)
    throw UsageError(fmt::format("--tasks {}: {} questions, want 4 or more",
                                 fmt::join(o.tasks, ","), texts.size()));
  // Every other one is kept from the search.
  std::vector<std::string> shown, others;
  for (size_t i = 0; i < texts.size(); ++i) (i % 2 == 0 ? shown : others).push_back(texts[i]);

  Gadgets g;
  g.model_sha256 = model.weights_sha256;
  g.predictor_sha256 = policy->file_sha256();
  g.tasks = fmt::format("{}", fmt::join(o.tasks, ","));
  g.seed = o.search.seed;
  g.questions = static_cast<int64_t>(shown.size());
  g.other_questions = static_cast<int64_t>(others.size());
  int64_t places = 0;
  for (const int n : kGadgetTokens) places += 2 * n * o.search.rounds;
  Progress progress("gadget", places);
  for (size_t i = 0; i < kGadgetTokens.size(); ++i)
    for (const bool up : {true, false})
      (up ? g.up : g.down)[i] = find_gadget(*policy, *model.tokenizer, up, kGadgetTokens[i], shown,
                                            others, o.search, [&] { progress.step(); });
  progress.finish();
  const std::string json = gadgets_json(g);
  engine::convert::DurableFile file(o.out);
  file.write(json.data(), json.size());
  file.commit();
  fmt::print("{}", o.format == Format::json ? json : render(g, o.format));
  fmt::print(stderr, "wrote {}  (moeval run --shift gadget_up:2,gadget_down:2 --gadget {})\n",
             o.out, o.out);
  return kOk;
}

}  // namespace harness
