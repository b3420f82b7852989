#include "harness/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "harness/clock.h"
#include "harness/engine_subject.h"
#include "harness/marker.h"
#include "harness/progress.h"
#include "harness/row_writer.h"

namespace harness {
namespace {

constexpr int kInfraTries = 3;  // the machinery's own failures are tried again, at most twice

tasks::Score mark(const tasks::Task& task, const datasets::Sample& sample,
                  const tasks::Answer& answer, bool generate, tasks::Sandbox* sandbox) {
  tasks::Score score;
  if (!generate && task.generates() && answer.status == tasks::Answer::Status::ok) {
    score.state = tasks::Score::State::unscored;
    score.verdict = tasks::Verdict::not_run;
    score.detail = "not generated";
    if (answer.reference_logprob) score.gold_nll = -*answer.reference_logprob;
    return score;
  }
  for (int i = 0; i < kInfraTries; ++i) {
    score = task.score(sample, answer, sandbox);
    const bool infra =
        score.state == tasks::Score::State::unscored && score.verdict == tasks::Verdict::infra;
    if (!infra) break;
  }
  return score;
}

// One group of the plan: its queries, asked and marked.
class GroupRun {
 public:
  GroupRun(const RunSpec& spec, const RunPlan& plan, const Policies& policies, const Group& group,
           const std::vector<results::PlannedState>& states)
      : plan_(plan), group_(group) {
    for (const int64_t ordinal : group.ordinals) {
      const auto& a = plan.attempts[static_cast<size_t>(ordinal)];
      queries_.push_back(query_of(plan, spec, a));
      samples_.push_back(asked_sample(plan, a));
      Ask ask;
      ask.seed = attempt_seed(spec.seed, plan.sample(a).id, a.repeat);
      ask.policy = policies.at(a.policy).get();
      ask.key = query_key(plan, a);
      ask.pending = !states[static_cast<size_t>(ordinal)].done;
      asks_.push_back(ask);
    }
    for (size_t i = 0; i < asks_.size(); ++i) asks_[i].query = &queries_[i];
  }

  const std::vector<Ask>& asks() const { return asks_; }
  const tasks::Query& query(size_t i) const { return queries_[i]; }
  int64_t ordinal(size_t i) const { return group_.ordinals[i]; }
  uint64_t seed(size_t i) const { return asks_[i].seed; }
  const datasets::Sample& sample(size_t i) const { return samples_[i]; }  // as it was asked
  // Changed, and known to keep the right answer: whether a shifted program's solution passes is not
  // tried before a run.
  bool is_label_preserved(size_t i) const {
    const Variant& v = plan_.attempts[static_cast<size_t>(ordinal(i))].variant;
    return v != Variant{} && (v.family != Variant::Family::shift ||
                              tasks::guarantee_of(v.shift) != tasks::Guarantee::program_passes);
  }
  int32_t policy() const { return static_cast<int32_t>(group_.policy); }
  const tasks::Task& task() const { return *plan_.suites[group_.suite].task; }

 private:
  const RunPlan& plan_;
  const Group& group_;
  std::vector<tasks::Query> queries_;
  std::vector<datasets::Sample> samples_;
  std::vector<Ask> asks_;
};

void run_group(const RunSpec& spec, GroupRun& group, Subject& subject, tasks::Sandbox* sandbox,
               results::ResultStore& store, int64_t session_start_ns, Progress& progress,
               const std::atomic<bool>& stop) {
  std::vector<PrefixRecord> prefixes;  // not booked yet: they are with the next attempt stored
  // Declared last: its thread ends before anything that its jobs use.
  Marker marker;
  const auto on_observation = [&](size_t i, Observation o) {
    if (o.answer.status == tasks::Answer::Status::cancelled) return;
    marker.submit([&, i, o = std::move(o)] {
      const int64_t t0 = steady_ns();
      const auto score = mark(group.task(), group.sample(i), o.answer, spec.generate, sandbox);
      const int64_t score_us = (steady_ns() - t0) / 1000;
      AttemptContext context;
      context.ordinal = group.ordinal(i);
      context.seed = group.seed(i);
      context.session_start_ns = session_start_ns;
      context.store_text = spec.store_text;
      context.router_margins = spec.router_margins;
      if (group.is_label_preserved(i)) context.label_preserved = true;
      auto bundle = make_bundle(context, group.query(i), o, group.task(), score, score_us);
      for (const auto& p : prefixes) bundle.prefixes.push_back(make_prefix_row(p, group.policy()));
      prefixes.clear();
      store.append(std::move(bundle), [&progress] { progress.step(); });
    });
  };
  const auto on_prefix = [&](const PrefixRecord& p) { prefixes.push_back(p); };
  subject.answer(group.asks(), spec.scenario, on_observation, on_prefix, stop);
  marker.finish();
  store.flush();
}

}  // namespace

RunOutcome run(const RunSpec& spec, const RunPlan& plan, LoadedModel& model,
               const Policies& policies, const Environment& env, tasks::Sandbox* sandbox,
               results::ResultStore& store, const std::atomic<bool>& stop) {
  const int64_t start_ns = steady_ns();
  const auto start = store.begin_or_resume(store_plan(
      spec, plan, model, policies, env, sandbox == nullptr ? nullptr : &sandbox->info()));
  RunOutcome out;
  out.run_uuid = start.run_uuid;
  out.resumed = start.resumed;
  out.planned = static_cast<int64_t>(plan.attempts.size());
  if (start.complete) {
    out.was_complete = true;
    out.done = out.planned;
    out.status = "complete";
    return out;
  }
  const auto done =
      std::count_if(start.states.begin(), start.states.end(), [](const auto& s) { return s.done; });
  EngineSubject subject(*model.engine, *model.tokenizer, spec.reuse_prefix);
  // Outlives the catch below: the store's writer reports to it until finish() returns.
  Progress progress(spec.name(), out.planned, done);
  try {
    for (const auto& g : plan.groups) {
      if (stop) break;
      GroupRun group(spec, plan, policies, g, start.states);
      run_group(spec, group, subject, sandbox, store, start_ns, progress, stop);
    }
  } catch (const results::StoreError&) {
    throw;
  } catch (...) {
    store.finish("failed");
    throw;
  }
  const auto stored = store.counts(start.run_id);
  out.status = store.finish(stop && stored.done < out.planned ? "interrupted" : "complete");
  const auto counts = store.counts(start.run_id);
  out.done = counts.done;
  out.infra = counts.infra;
  out.wall_s = static_cast<double>(steady_ns() - start_ns) * 1e-9;
  return out;
}

}  // namespace harness
