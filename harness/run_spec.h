// Owns RunSpec: everything that the user decided about a run, and the fingerprint that a resumed
// run must share.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/expert_budget.h"
#include "harness/device_choice.h"
#include "harness/subject.h"

namespace harness {

enum class RunKind {
  policy,  // every query once, under one policy
  sweep    // every query at each k of a grid, in several variants
};

struct RunSpec {
  RunKind kind = RunKind::policy;
  std::string model = "smollm2-135m";
  std::vector<std::string> tasks;
  std::string policy = "trained";
  std::vector<int32_t> grid;             // sweep: k of each policy; clipped to the model's most
  int ways = 0;                          // sweep: option orders or wordings at most; 0 = all
  std::optional<double> latency_cap_ms;  // with latency_file (engine/policy/latency_cap.h)
  std::string latency_file;
  engine::GateNorm gate_norm = engine::GateNorm::model;
  bool router_margins = false;  // stored per attempt and layer
  bool generate = true;         // false: generation tasks only score their reference solutions
  std::string data;             // folder, or "embedded"
  bool allow_unverified = false;
  std::optional<int> num_fewshot;
  int64_t limit = 0;   // first N samples of each subset; 0 = all
  int64_t sample = 0;  // N samples of each task, drawn by `seed`; 0 = all
  uint64_t seed = 0;
  // "family:severity", or "all" that fit the task: samples are asked so too.
  std::vector<std::string> shifts;
  uint64_t shift_seed = 0;
  std::string gadget_file;  // of the families gadget_up and gadget_down (harness/gadget.h)
  int64_t shift_items = 0;  // only so many samples of each task, drawn by `seed`; 0 = all
  int num_samples = 1;      // completions per problem, for pass@k
  std::optional<double> temperature, top_p;
  int max_new_tokens = 0;  // 0 = the task's own
  Scenario scenario = Scenario::offline;
  DeviceChoice device;  // auto becomes what it was resolved to before the run has a name

  std::string db = "results/moeval.db";
  bool new_run = false;
  std::string resume;  // run uuid
  bool store_text = true;
  bool reuse_prefix = true;  // changes no answer, but who is charged for the prefix

  // Do not change a result (invariant 3), so they are no part of the fingerprint.
  int threads = 0;
  int ranks = 1;  // thread ranks of the expert-parallel group
  int streams = 16;
  int64_t batch_rows = 0;  // 0 = the backend's own (engine/engine_options.h)
  int sandbox_tier = 0;    // 0 = best of 1 and 2
  int sandbox_slots = 2;
  std::vector<std::string> argv;

  // What a person would call this run: model, tasks, policy, size. Two runs of one name that are
  // both unfinished must agree in their fingerprints.
  std::string name() const;

  // Throws UsageError naming the option and both values.
  void validate() const;
};

const char* scenario_name(Scenario);

// Seed of one attempt: a function of run seed, sample id and repeat, never of order or threads.
uint64_t attempt_seed(uint64_t run_seed, const std::string& sample_id, int repeat);

// Indices of the samples to run, in data order: `limit` per subset, then `sample` of what is left.
// subsets[i] is the subset of sample i.
std::vector<size_t> select_samples(const std::vector<std::string>& ids,
                                   const std::vector<std::string>& subsets, int64_t limit,
                                   int64_t sample, uint64_t seed);

}  // namespace harness
