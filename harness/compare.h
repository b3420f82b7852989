// Owns the comparison of two runs: attempts paired by what was asked, what else differs between the
// runs, scores, flips, allocation and compute. A is the baseline; a difference is B - A.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "results/queries.h"
#include "tasks/metrics.h"
#include "tasks/paired.h"

namespace harness {

// One side: a run, and of a run with several policies one of them.
struct ComparedRun {
  std::string db;
  results::RunInfo info;
  results::PolicyRow policy;
  std::vector<results::StoredTask> tasks;
  std::vector<results::PlannedCell> planned;  // of this policy
};

// Opens db and finds `run`: what find_run takes, or that followed by "@POLICY" ("latest@fixed:4").
// Throws UsageError: no such run or policy, or several policies and none named.
ComparedRun find_compared_run(const std::string& db, const std::string& run);

// Something that should be equal for a comparison to mean anything.
struct Fact {
  std::string what;  // one of kFacts
  std::string task;  // empty: of the whole run
  std::string a, b;  // hashes, versions, names
  bool same = false;
};
inline const std::vector<std::string> kFacts = {
    "task",      "prompt",     "dataset", "scorer",          "tokenizer", "model",   "policy",
    "gate_norm", "generation", "seed",    "instruction_set", "tool",      "scenario"};

// What one side recorded of an attempt. Empty: not measured, or not graded.
struct AttemptFacts {
  std::optional<bool> correct;
  std::optional<int64_t> k, useful_flops, executed_flops;
  std::optional<double> k_mean;
  std::string answer;  // chosen letter; the outcome where the answer is a program
};

struct PairedAttempt {
  std::string sample, shift;  // shift: "clean", or name, severity, seed
  int64_t repeat = 0;
  AttemptFacts a, b;
};

// A query graded on both sides, its repeats averaged.
struct PairedQuery {
  size_t first = 0;  // index of its first attempt in TaskComparison::attempts
  std::string subject;
  double a = 0, b = 0;
  int64_t repeats = 0;
};

// Means over the n attempts that were measured on both sides.
struct MeasuredPair {
  int64_t n = 0;
  int64_t n_differ = 0;  // attempts with another value, or measured on one side only
  double a = 0, b = 0;
};

struct TaskComparison {
  std::string task, metric;
  std::optional<double> chance;
  bool same_data = false;  // otherwise one sample key may mean two questions: nothing is paired
  int64_t only_a = 0, only_b = 0;  // attempts without a partner
  int64_t ungraded = 0;            // paired, but not marked on one side at least
  int64_t prompts_differ = 0;      // paired attempts whose prompts are not the same bytes
  std::vector<PairedAttempt> attempts;
  std::vector<PairedQuery> queries;
  bool repeated = false;  // a query was answered several times: scores are averages

  std::optional<double> score_a, score_b;
  std::optional<tasks::PairedDifference> difference;  // 95%, base questions as clusters
  std::optional<tasks::PairedDifference> by_subject;  // 95%, subjects as a sample; 10 or more
  std::optional<tasks::PairedTable> table;            // one verdict a question and side only
  std::optional<tasks::McNemar> mcnemar;
  std::vector<size_t> flips;  // indices into queries: right to wrong first

  std::map<std::pair<int64_t, int64_t>, int64_t> k_transitions;  // {k of A, k of B}: attempts
  MeasuredPair k_mean, useful_flops, executed_flops;             // executed: shared prefixes apart
  int64_t prefix_flops_a = 0, prefix_flops_b = 0;                // of the task's shared prefixes
  int64_t attempts_a = 0, attempts_b = 0;                        // that these prefixes served
  // Executed FLOPs a query, its part of the shared prefixes included.
  double executed_a() const;
  double executed_b() const;

  // The paired difference at another level than 95%.
  std::optional<tasks::PairedDifference> difference_at(double level) const;
};

struct Comparison {
  ComparedRun a, b;
  std::vector<Fact> facts;
  std::vector<TaskComparison> tasks;
  std::vector<std::string> only_a, only_b;  // tasks of one side

  int64_t n_pairs() const;
};

// Throws results::StoreError. Never refuses: the callers decide what is comparable enough.
Comparison compare_runs(ComparedRun a, ComparedRun b);

}  // namespace harness
