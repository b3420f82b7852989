// Owns the audit of one policy's run against a sweep of the same questions: reads both from the
// store and puts the metrics together.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/allocation.h"
#include "harness/audit_parts.h"
#include "harness/drift.h"
#include "harness/expert_drift.h"
#include "harness/fallback_effect.h"
#include "harness/graded.h"
#include "harness/prediction.h"
#include "harness/prompt_compute.h"
#include "harness/robustness.h"
#include "harness/sweep_report.h"
#include "harness/worst_queries.h"
#include "tasks/data_shift.h"

namespace harness {

struct AuditSettings {
  std::string run, sweep, db = "results/moeval.db";
  double lambda = 0.1;                      // accuracy that the full FLOPs of a question are worth
  int64_t max_worst = 5;                    // listed for each task and direction
  std::vector<std::filesystem::path> data;  // folders where outside difficulty may lie
  bool allow_unverified = false;            // of those files
  std::string refusal_filter;               // file; empty = none
};

struct TaskAudit {
  std::string task;
  tasks::DataShift data_shift = tasks::DataShift::none;
  std::optional<double> chance;
  int64_t n_clean = 0;                // queries as they are, with a known need
  int64_t n_seen = 0;                 // of clean.n: in the policy's training
  int64_t n_capped = 0;               // of clean.n: lowered by the latency cap
  std::optional<double> target_cost;  // Audit::target_cost
  int ways = 1;                       // in which the sweep asked a question, the fewest
  AllocationReport clean;
  // Of clean: lambda-regret of the questions that the policy learned from, and of the others. Only
  // where there are both.
  tasks::Estimate regret_seen, regret_unseen;
  PredictionReport prediction;
  GradedReport graded;
  std::vector<AuditPart> parts;
  std::optional<OutsideReport> outside;  // nothing: no labels at hand, or none of these questions
  std::vector<DriftReport> drifts;
  std::vector<GradedDrift> graded_drifts;
  std::vector<ExpertDrift> expert_drifts;
  std::vector<RobustReport> robust;  // of ReCode's perturbations
  // Shifted queries whose need the sweep knows, as a whole of their own.
  std::vector<std::pair<std::string, AllocationReport>> shifted;
  std::vector<FallbackEffect> fallback;  // by form, clean first; empty without a fallback
  std::vector<WorstQuery> worst_under, worst_over;
};

struct Audit {
  std::string run_uuid, run_name, model, policy;
  std::string sweep_uuid;     // empty where only prompts could be audited
  std::string why_not_swept;  // then: why nothing else was; empty where there is nothing else
  std::vector<int32_t> grid;
  double lambda = 0;
  bool learned = false;      // policy: of a predictor or a table, which may have seen the questions
  bool facts_known = false;  // of the training: what it saw, and its budget
  int64_t n_learned = 0;     // questions that the policy learned from, if known
  std::optional<double> target_cost;  // mean FLOPs that it was trained for, of the full ones
  int64_t answered = 0, failed = 0;
  int64_t ungraded = 0;    // answered, but not marked
  int64_t unmeasured = 0;  // marked, but without k or FLOPs
  int64_t not_swept = 0;   // measured, but their need is not known at every k
  std::vector<std::string> tasks_not_swept;
  std::vector<TaskAudit> tasks;
  std::vector<PromptAudit> prompts;  // tasks without right answers: no sweep is needed for them
};

// settings.run: RUN or RUN@POLICY, empty = the newest run of a policy; settings.sweep: empty = of
// the complete sweeps of the same weights and gate norm the one that knows most of the run's
// queries, of several the newest. Throws UsageError (no such run, no sweep, the sweep's grid ends
// below what the run used, a filter and no prompts), tasks::TaskError (the filter), DataError
// (outside labels), FingerprintMismatch (other weights, other gate norm, nothing in
// common).
Audit audit(const AuditSettings&);

}  // namespace harness
