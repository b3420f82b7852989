#include "harness/audit_inputs.h"

#include <fmt/format.h>

#include <set>
#include <tuple>

#include "harness/stored_runs.h"
#include "harness/sweep_report.h"
#include "results/queries.h"
#include "results/store_error.h"

namespace harness {
namespace {

// What a run's queries are to a sweep: task, sample and question_shift.
using Asked = std::set<std::tuple<int64_t, std::string, std::string>>;

Asked asked_in(const results::ResultStore& store, const results::RunInfo& run,
               const std::string& policy) {
  Asked out;
  results::AttemptFilter filter;
  filter.run_id = run.run_id;
  filter.policy = policy;
  filter.with_text = false;
  results::for_each_attempt(store, filter, [&](const results::StoredAttempt& a) {
    out.emplace(a.task_id, a.sample.source_key, question_shift(a));
    return true;
  });
  return out;
}

}  // namespace

std::string newest_policy_run(const results::ResultStore& store) {
  std::string found;
  for (const auto& r : results::runs(store))
    if (r.run.kind == "policy") found = r.run.run_uuid;
  if (found.empty())
    throw UsageError(fmt::format("{} holds no run of a policy yet", store.path().string()));
  return found;
}

std::string best_sweep(const results::ResultStore& store, const ComparedRun& run) {
  const auto mine = asked_in(store, run.info, run.policy.label);
  std::string found;
  size_t most = 0;
  for (const auto& r : results::runs(store)) {
    if (r.run.kind != "sweep" || r.status != "complete" ||
        r.model.weights_sha256 != run.info.model.weights_sha256 ||
        gate_norm_of(r.run) != gate_norm_of(run.info.run))
      continue;
    size_t shared = 0;
    for (const auto& key : asked_in(store, r, "")) shared += mine.contains(key);
    if (shared == 0 || shared < most) continue;
    most = shared;
    found = r.run.run_uuid;
  }
  if (found.empty())
    throw NoSweep(fmt::format(
        "no complete sweep of {} in {} asks what run {} asked: 'moeval sweep --model {} --tasks "
        "...' "
        "with the run's options makes one",
        run.info.model.name, store.path().string(), run.info.run.run_uuid, run.info.model.name));
  return found;
}

void check_comparable(const ComparedRun& run, const results::RunInfo& sweep) {
  const auto refuse = [&](const std::string& what, const std::string& a, const std::string& b) {
    if (a != b)
      throw results::FingerprintMismatch(fmt::format("{}: run {} has {}, sweep {} has {}", what,
                                                     run.info.run.run_uuid, a, sweep.run.run_uuid,
                                                     b));
  };
  refuse("weights", run.info.model.weights_sha256, sweep.model.weights_sha256);
  refuse("gate norm", gate_norm_of(run.info.run), gate_norm_of(sweep.run));
}

}  // namespace harness
