// Owns reading the store: plain rows for leaderboard, export and marking again. No SQL outside.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "results/records.h"
#include "results/result_store.h"

namespace results {

struct RunInfo {
  int64_t run_id = 0;
  RunRow run;  // fingerprint and config included
  ModelRow model;
  EnvironmentRow environment;
  std::string started_at, status;
  std::optional<std::string> ended_at;
  RunCounts counts;
  int64_t sessions = 0;
};

// One line of a leaderboard: a policy on a task in a run.
struct LeaderboardCell {
  int64_t run_id = 0, task_id = 0;
  std::string run_uuid, run_status, model, policy, policy_kind, suite, task, metric, shift;
  int64_t severity = 0;
  std::optional<double> chance;
  int64_t n = 0;  // graded
  int64_t n_correct = 0;
  int64_t n_failed = 0;    // graded wrong because the query failed
  int64_t n_ungraded = 0;  // infrastructure failures and unscored: neither right nor wrong
  int64_t n_planned = 0;
  std::optional<double> mean_k;
  std::optional<int64_t> useful_flops, executed_flops;  // sums over the rows that were counted
  int64_t n_flops = 0;                                  // rows that were counted
  std::vector<int64_t> latencies_us;                    // of ok and timed-out queries, ascending
};

struct StoredTask {
  int64_t task_id = 0;
  TaskRow task;
  DatasetRow dataset;
};

// An attempt with everything around it. The last try of its planned row, warm-ups left out.
struct StoredAttempt {
  int64_t attempt_id = 0, task_id = 0, try_ix = 0;
  AttemptRow attempt;
  PolicyRow policy;
  SampleRow sample;
  ShiftRow shift;
  int64_t shift_seed = 0, repeat_ix = 0;
  std::string prompt_sha256;
  std::optional<std::string> prompt;  // the whole of it; empty when texts are not kept
  std::optional<std::string> output_text;
  std::vector<OptionRow> options;
  std::vector<VerdictRow> verdicts;   // every scorer's
  std::optional<VerdictRow> verdict;  // the task's own scorer's
};

// What a run promised for one task under one policy, begun or not.
struct PlannedCell {
  int64_t task_id = 0;
  std::string task, policy;
  int64_t planned = 0;
  int64_t done = 0;    // with an attempt that is not an infrastructure failure
  int64_t graded = 0;  // of these: marked right or wrong
};

struct AttemptFilter {
  int64_t run_id = 0;
  std::optional<int64_t> task_id;
  std::string policy;     // label; empty: all
  bool with_text = true;  // prompt and output
};

std::vector<RunInfo> runs(const ResultStore&);  // oldest first
// A run by its uuid, by a prefix of it that fits one run only, or by "latest". Throws StoreError.
RunInfo find_run(const ResultStore&, std::string_view name);

// In run, task, policy order. Empty run_uuid: every run.
std::vector<LeaderboardCell> leaderboard(const ResultStore&, std::string_view run_uuid = {});

std::vector<StoredTask> tasks_of_run(const ResultStore&, int64_t run_id);

std::vector<PolicyRow> policies_of_run(const ResultStore&, int64_t run_id);  // planned ones

// In task, policy order.
std::vector<PlannedCell> planned_cells(const ResultStore&, int64_t run_id);

// In ordinal order. The callback must not call the store; it returns false to stop.
void for_each_attempt(const ResultStore&, const AttemptFilter&,
                      const std::function<bool(const StoredAttempt&)>&);

// Tokens that ran an expert in a layer, summed over a run's attempts (every query as if run alone:
// the tokens of a shared prefix count for each of its users). By policy, task, layer, expert.
struct ExpertLoad {
  std::string policy, task;
  int64_t layer = 0, expert = 0, tokens = 0;
};
std::vector<ExpertLoad> expert_load(const ResultStore&, int64_t run_id);

// The same of every attempt by itself; attempts without counts are passed over.
void for_each_expert_counts(const ResultStore&, int64_t run_id,
                            const std::function<void(int64_t attempt_id, const ExpertCounts&)>&);

// Sum of the executed FLOPs of a run's shared prefixes.
FlopsByPart prefix_flops(const ResultStore&, int64_t run_id);
// The same for the prefixes that attempts of one task under one policy used. A prefix of several
// tasks is the first one's; a prefix that no attempt used is nobody's.
FlopsByPart prefix_flops(const ResultStore&, int64_t run_id, int64_t task_id,
                         std::string_view policy);

}  // namespace results
