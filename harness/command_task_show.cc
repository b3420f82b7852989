#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "engine/checkpoint.h"
#include "engine/tokenizer.h"
#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/places.h"
#include "harness/prompt_tokens.h"
#include "harness/run_plan.h"
#include "harness/shifted_forms.h"
#include "harness/text_table.h"

namespace harness {
namespace {

// Line ends shown as a sign and a line break, blanks as dots, the rest as printable() does.
std::string visible(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n')
      out += "⏎\n";
    else if (c == ' ')
      out += "·";
    else if (c == '\t')
      out += "→";
    else
      out += printable(std::string_view(&c, 1));
  }
  return out;
}

const char* field_name(tasks::Edit::Field f) {
  static constexpr const char* kNames[] = {"input",     "choice", "answer",     "symbol",
                                           "reference", "test",   "entry_point"};
  return kNames[static_cast<int>(f)];
}

nlohmann::json edits_json(const tasks::Shifted& shifted) {
  auto out = nlohmann::json::array();
  for (const auto& e : shifted.edits)
    out.push_back({{"field", field_name(e.field)},
                   {"index", e.index},
                   {"byte", e.at},
                   {"before", e.before},
                   {"after", e.after},
                   {"rule", e.rule}});
  return out;
}

}  // namespace

int command_task_show(const TaskShowOptions& o) {
  RunSpec spec;
  spec.tasks = {o.task};
  spec.data = o.data;
  spec.num_fewshot = o.num_fewshot;
  spec.allow_unverified = o.allow_unverified;
  if (!o.shift.empty()) spec.shifts = {o.shift};
  spec.shift_seed = o.shift_seed;
  spec.gadget_file = o.gadget_file;
  spec.validate();
  const RunPlan plan = make_plan(spec);
  const auto& suite = plan.suites[0];
  if (o.doc < 0 || static_cast<size_t>(o.doc) >= suite.chosen.size())
    throw UsageError(
        fmt::format("--doc {}: {} has samples 0 to {}", o.doc, o.task, suite.chosen.size() - 1));
  PlannedAttempt attempt{0, static_cast<size_t>(o.doc), 0};
  tasks::Shifted shifted{plan.sample(attempt), {}};
  const auto shifts = parsed_shifts(spec);
  if (shifts.size() > 1)
    throw UsageError(fmt::format("--shift {}: is {} shifts, name one of them, such as {}", o.shift,
                                 shifts.size(), tasks::shift_label(shifts[0])));
  for (const auto& shift : shifts) {
    attempt.variant = shifted_variant(shift, o.shift_seed);
    auto made = tasks::apply_shift(shift, plan.sample(attempt), attempt.variant.seed);
    if (!made.shifted)
      throw UsageError(fmt::format("--shift {}: cannot be applied to {}: {}", o.shift,
                                   plan.sample(attempt).id, made.why_not));
    shifted = std::move(*made.shifted);
  }
  const auto& sample = shifted.sample;
  const auto query = query_of(plan, spec, attempt);

  std::unique_ptr<engine::Tokenizer> tokenizer;
  int64_t context = 0;
  std::string why_not;
  try {
    const auto path = resolve_model(o.model.empty() ? spec.model : o.model);
    tokenizer = engine::Tokenizer::load(path);
    context = engine::Checkpoint::open(path)->config().max_tokens;
  } catch (const UsageError& e) {
    if (!o.model.empty()) throw;
    why_not = e.what();  // the default model is not fetched yet: text without ids
  }
  if (query.is_chat && !tokenizer)
    throw UsageError("a chat task is rendered by the model's template: " + why_not);
  PromptTokens p;
  if (tokenizer)
    p = tokenise(*tokenizer, query, context);
  else
    p.text = query.prompt();

  if (o.format == Format::json) {
    nlohmann::json j{{"task", o.task},
                     {"id", sample.id},
                     {"prompt", p.text},
                     {"options", query.options},
                     {"stops", query.stops},
                     {"reference", query.reference},
                     {"data", suite.data->origin}};
    if (!o.shift.empty()) {
      j["shift"] = o.shift;
      j["shift_seed"] = o.shift_seed;
      j["guarantee"] = tasks::guarantee_name(tasks::guarantee_of(attempt.variant.shift));
      j["edits"] = edits_json(shifted);
    }
    if (tokenizer) {
      j["tokens"] = p.prompt;
      j["option_tokens"] = p.options;
      j["dropped_demonstrations"] = p.dropped_demonstrations;
      j["dropped_tokens"] = p.dropped_tokens;
      j["too_long"] = p.too_long;
    }
    fmt::print("{}\n", j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return kOk;
  }
  fmt::print("{}  sample {}  ({} data, sha256 {})\n", o.task, sample.id, suite.data->origin,
             suite.data->sha256.substr(0, 12));
  if (!o.shift.empty()) {
    fmt::print("--- shift {}, seed {}: {}\n", o.shift, o.shift_seed,
               tasks::guarantee_name(tasks::guarantee_of(attempt.variant.shift)));
    for (const auto& e : shifted.edits)
      fmt::print("{}{} byte {}: '{}' -> '{}' ({})\n", field_name(e.field),
                 e.field == tasks::Edit::Field::choice || e.field == tasks::Edit::Field::symbol
                     ? fmt::format(" {}", e.index)
                     : "",
                 e.at, printable(e.before), printable(e.after), e.rule);
  }
  fmt::print("--- prompt: {} bytes (· blank, ⏎ line end, → tab)\n{}\n", p.text.size(),
             visible(p.text));
  for (size_t i = 0; i < query.options.size(); ++i)
    fmt::print("--- option {}: {}{}\n", i, visible(query.options[i]),
               static_cast<int>(i) == sample.answer ? "   <- right" : "");
  if (!query.stops.empty()) {
    std::vector<std::string> stops;
    for (const auto& s : query.stops) stops.push_back("'" + printable(s) + "'");
    fmt::print("--- stops: {}; at most {} new tokens\n", fmt::join(stops, " "),
               query.max_new_tokens);
  }
  if (!query.reference.empty()) fmt::print("--- reference\n{}\n", visible(query.reference));
  if (!tokenizer) {
    fmt::print("--- no token ids: {}\n", why_not);
    return kOk;
  }
  if (p.dropped_demonstrations || p.dropped_tokens)
    fmt::print("--- truncated: {} demonstrations, {} tokens dropped\n", p.dropped_demonstrations,
               p.dropped_tokens);
  if (p.too_long) fmt::print("--- too long: {}\n", p.detail);
  fmt::print("--- {} prompt tokens\n{}\n", p.prompt.size(), fmt::join(p.prompt, " "));
  for (size_t i = 0; i < p.options.size(); ++i)
    fmt::print("--- {} {} tokens: {}\n", query.options.empty() ? "reference" : "option", i,
               fmt::join(p.options[i], " "));
  return kOk;
}

}  // namespace harness
