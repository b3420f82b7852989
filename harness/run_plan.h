// Owns RunPlan: the tasks, samples and attempts of one run, loaded and in order, and what must not
// change between a run and its resumption.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "datasets/sample.h"
#include "engine/engine.h"
#include "engine/policy/expert_policy.h"
#include "engine/tokenizer.h"
#include "harness/environment.h"
#include "harness/run_spec.h"
#include "results/records.h"
#include "tasks/sandbox.h"
#include "tasks/shift.h"
#include "tasks/task.h"

namespace harness {

// A task with its data and the samples chosen from it.
struct PlannedSuite {
  std::unique_ptr<tasks::Task> task;
  std::shared_ptr<const datasets::Dataset> data;
  std::vector<size_t> chosen;  // into data->samples
  int repeats = 1;
};

// Attempts that are asked together because they may share a prefix.
struct Group {
  size_t suite = 0, policy = 0;   // all attempts have these
  std::string label;              // for progress: "mmlu virology"
  std::vector<int64_t> ordinals;  // planned attempts
};

// A loaded model, as the plan needs to know it.
struct LoadedModel {
  std::string label;
  std::string weights_sha256;
  std::string dtype;
  std::unique_ptr<engine::Engine> engine;
  std::unique_ptr<engine::Tokenizer> tokenizer;
};

// The type that most of a checkpoint's elements have.
std::string main_dtype(const engine::Checkpoint&);

// What a run's rows and predictors name a model by.
std::string weights_sha256(const engine::Checkpoint&);

// Loads what RunSpec::model names. Throws ModelFileError, UsageError.
LoadedModel load_model(const RunSpec&);

// How a question is asked: as it is, in the task's other words, or shifted.
struct Variant {
  enum class Family { clean, wording, shift };
  Family family = Family::clean;
  int wording = 0;     // index of the task's wording
  tasks::Shift shift;  // of family shift
  uint64_t seed = 0;   // 0 where the shift draws nothing, of a gadget its text's mark
  friend bool operator==(const Variant&, const Variant&) = default;
};
// seed: as given to the run. Gadgets of different texts get different ones, so that nothing takes
// them for one question.
Variant shifted_variant(const tasks::Shift&, uint64_t seed);
std::string variant_name(const Variant&);  // clean, wording, typos, neutral.padding, ...
int variant_severity(const Variant&);      // index of the wording, or the shift's

// A form that a sample does not have, and why.
struct MissingForm {
  size_t suite = 0;
  std::string sample;
  tasks::Shift shift;
  std::string why;
};

// One attempt: sample `sample` (index into PlannedSuite::chosen) of suite `suite`.
struct PlannedAttempt {
  size_t suite = 0, sample = 0;
  int repeat = 0;
  size_t policy = 0;  // into RunPlan::policies
  Variant variant;
};

struct RunPlan {
  std::vector<PlannedSuite> suites;
  std::vector<std::string> policies;     // as written; harness/policies.h makes them
  std::vector<PlannedAttempt> attempts;  // by ordinal
  std::vector<Group> groups;
  std::vector<MissingForm> missing;  // shifted forms that were asked for

  const datasets::Sample& sample(const PlannedAttempt& a) const {
    const auto& s = suites[a.suite];
    return s.data->samples[s.chosen[a.sample]];
  }
  bool runs_code() const;
  bool has_embedded_data() const;
};

// Loads tasks and data and chooses samples. A sweep asks every question at each k: letter tasks in
// each rotation of their options (where the order is free), others in each wording. Every run asks
// each sample as it is and in the forms of RunSpec::shifts that it has. The grid must be clipped to
// the model before. Throws TaskError, DataError, UsageError.
RunPlan make_plan(const RunSpec&);

// The grid within what the model runs, doubles left out.
std::vector<int32_t> clipped_grid(const std::vector<int32_t>& grid, int32_t max_k);

// The sample as it is asked in one way: shifted, or as it is.
datasets::Sample sample_as(const datasets::Sample&, const Variant&);
datasets::Sample asked_sample(const RunPlan&, const PlannedAttempt&);

// The query of one attempt, sampling options applied.
tasks::Query query_of(const RunPlan&, const RunSpec&, const PlannedAttempt&);

// The plan as the store wants it. sandbox is null when no task runs code.
results::RunPlan store_plan(const RunSpec&, const RunPlan&, const LoadedModel&,
                            std::span<const std::shared_ptr<const engine::ExpertPolicy>>,
                            const Environment&, const tasks::SandboxInfo* sandbox);

}  // namespace harness
