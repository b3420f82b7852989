#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "harness/clock.h"
#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/interrupt.h"
#include "harness/progress.h"
#include "harness/row_writer.h"
#include "harness/run_plan.h"
#include "harness/stored_runs.h"
#include "harness/stored_shift.h"
#include "harness/text_table.h"
#include "results/queries.h"
#include "results/result_store.h"

namespace harness {
namespace {

tasks::Answer answer_of(const results::StoredAttempt& a) {
  tasks::Answer out;
  if (a.attempt.status == "too_long") out.status = tasks::Answer::Status::too_long;
  if (a.attempt.status == "not_finite") out.status = tasks::Answer::Status::not_finite;
  for (const auto& o : a.options)
    out.options.push_back({o.logprob_nats.value_or(0), static_cast<int>(o.n_tokens)});
  out.text = a.output_text.value_or("");
  out.hit_length_limit = a.attempt.finish_reason == "length";
  out.reference_logprob = a.attempt.reference_logprob_nats;
  out.reference_tokens = static_cast<int>(a.attempt.reference_tokens.value_or(0));
  return out;
}

// How a stored attempt asked. Throws FingerprintMismatch when this program's shifts are others.
Variant stored_variant(const results::StoredAttempt& a, const RescoreOptions& o) {
  if (a.shift.name == "clean" || a.shift.name == "wording") return {};
  return {Variant::Family::shift, 0, stored_shift(a.shift, o.data, o.allow_unverified),
          static_cast<uint64_t>(a.shift_seed)};
}

struct Tally {
  int64_t marked = 0, same = 0, to_right = 0, to_wrong = 0, unscored = 0;
};

Tally rescore_task(results::ResultStore& store, const results::RunInfo& run,
                   const results::StoredTask& stored, const RescoreOptions& o,
                   tasks::Sandbox* sandbox, const std::atomic<bool>& stop) {
  RunSpec spec;
  spec.tasks = {stored.task.name};
  spec.data = o.data;
  spec.allow_unverified = o.allow_unverified;
  if (stored.task.n_shot > 0 || stored.task.suite == "mmlu")
    spec.num_fewshot = static_cast<int>(stored.task.n_shot);
  if (spec.data.empty() && stored.dataset.revision == "embedded") spec.data = "embedded";
  const auto plan = make_plan(spec);
  const auto& suite = plan.suites[0];
  if (suite.task->scorer() != stored.task.scorer)
    throw results::FingerprintMismatch(fmt::format("{}: this program marks by {}, the run by {}",
                                                   stored.task.name, suite.task->scorer(),
                                                   stored.task.scorer));
  if (suite.data->sha256 != stored.dataset.sha256)
    throw results::FingerprintMismatch(
        fmt::format("{}: data sha256 is {}, the run used {}; point --data at the run's data",
                    stored.task.name, suite.data->sha256, stored.dataset.sha256));
  std::map<std::string, const datasets::Sample*> samples;
  for (const auto& s : suite.data->samples) samples[s.id] = &s;

  // Verdicts are written after reading: the callback may not call the store.
  std::vector<results::StoredAttempt> attempts;
  results::AttemptFilter filter;
  filter.run_id = run.run_id;
  filter.task_id = stored.task_id;
  results::for_each_attempt(store, filter, [&](const results::StoredAttempt& a) {
    attempts.push_back(a);
    attempts.back().prompt.reset();
    return true;
  });
  std::vector<results::AttemptVerdict> verdicts;
  Tally tally;
  Progress progress("rescore " + stored.task.name, static_cast<int64_t>(attempts.size()));
  for (const auto& a : attempts) {
    if (stop) break;
    progress.step();
    const auto found = samples.find(a.sample.source_key);
    if (found == samples.end())
      throw results::FingerprintMismatch(
          fmt::format("{}: the data have no sample '{}'", stored.task.name, a.sample.source_key));
    // Nothing was generated (--no-generate): there is no answer to mark.
    if (a.attempt.status == "ok" && a.verdict && a.verdict->outcome == "not_run") continue;
    const int64_t t0 = steady_ns();
    const auto asked = sample_as(*found->second, stored_variant(a, o));
    const auto score = suite.task->score(asked, answer_of(a), sandbox);
    auto verdict = make_verdict(*suite.task, score);
    verdict.score_us = (steady_ns() - t0) / 1000;
    ++tally.marked;
    if (a.attempt.status == "infra") {
      ++tally.unscored;  // not done: the run's own command tries it again
      continue;
    }
    if (!verdict.correct) {
      ++tally.unscored;
      continue;  // our machinery failed: the old verdict stands
    }
    const bool was = a.verdict && a.verdict->correct == 1;
    const bool is = *verdict.correct == 1;
    tally.same += was == is;
    tally.to_right += !was && is;
    tally.to_wrong += was && !is;
    verdicts.push_back({a.attempt_id, verdict});
  }
  store.put_verdicts(verdicts);
  return tally;
}

}  // namespace

int command_rescore(const RescoreOptions& o) {
  // Whether code must run is known only from the database, and the sandbox must start before it is
  // opened for writing: so it is read once before.
  bool runs_code = false;
  {
    const auto store = results::ResultStore::open(o.db, results::ResultStore::Mode::read);
    const auto run = results::find_run(*store, find_run(*store, o.run));
    for (const auto& t : results::tasks_of_run(*store, run.run_id))
      runs_code |= tasks::make_task(t.task.name)->runs_code();
  }
  std::unique_ptr<tasks::Sandbox> sandbox;
  if (runs_code) sandbox = tasks::Sandbox::start(o.sandbox_tier, 1);
  const InterruptGuard interrupt;
  const auto store = results::ResultStore::open(o.db, results::ResultStore::Mode::write);
  const auto run = results::find_run(*store, find_run(*store, o.run));
  TextTable table({{"task"},
                   {"marked", Align::right},
                   {"same", Align::right},
                   {"now right", Align::right},
                   {"now wrong", Align::right},
                   {"not marked", Align::right}});
  auto json = nlohmann::json::array();
  int64_t unscored = 0;
  for (const auto& t : results::tasks_of_run(*store, run.run_id)) {
    const auto tally = rescore_task(*store, run, t, o, sandbox.get(), interrupt.flag());
    unscored += tally.unscored;
    table.add({t.task.name, std::to_string(tally.marked), std::to_string(tally.same),
               std::to_string(tally.to_right), std::to_string(tally.to_wrong),
               std::to_string(tally.unscored)});
    json.push_back({{"task", t.task.name},
                    {"marked", tally.marked},
                    {"same", tally.same},
                    {"now_right", tally.to_right},
                    {"now_wrong", tally.to_wrong},
                    {"not_marked", tally.unscored}});
  }
  if (o.format == Format::json)
    fmt::print("{}\n", json.dump(2));
  else
    fmt::print("{}", o.format == Format::markdown ? table.markdown() : table.terminal());
  if (interrupt.exit_code() != 0) return interrupt.exit_code();
  return unscored > 0 ? kIncomplete : kOk;
}

}  // namespace harness
