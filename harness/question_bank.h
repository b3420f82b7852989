// Owns QuestionBank: questions of tasks, to be asked again and again at any k, with what a policy
// may see of them and what the answers cost.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/policy/expert_policy.h"
#include "engine/policy/question_features.h"
#include "engine/train/examples.h"
#include "harness/run_plan.h"
#include "harness/training_data.h"
#include "tasks/sandbox.h"

namespace harness {

class QuestionBank {
 public:
  // The clean questions of spec.tasks at their first wording, those left out that the model's
  // context does not hold. grid: ascending, within the model's, its largest k included. sandbox may
  // be null when no task runs code. Everything given must outlive the bank. Throws UsageError: a
  // task without right answers, or nothing left to ask.
  QuestionBank(const RunSpec& spec, LoadedModel&, std::vector<int32_t> grid,
               const std::optional<LatencyPenalty>&, tasks::Sandbox*);

  // Features, clusters, lateness and the costs that shapes alone tell; success is 0.
  const engine::train::Examples& examples() const { return examples_; }
  const std::vector<engine::Feature>& features() const { return features_; }
  const std::vector<SweepQuestion>& questions() const { return questions_; }  // task and sample
  int64_t too_long() const { return too_long_; }
  LoadedModel& model() { return model_; }

  struct Asked {
    int64_t row = 0;
    size_t k = 0;  // index into the grid
  };
  struct Reply {
    bool right = false;
    // [n_k] useful FLOPs over those of the largest k, had the same tokens run at each k.
    std::vector<double> cost;
    double full_flops = 0;
  };
  // Each asked once, replies in the order given; nothing when `stop` came before all were there.
  // Replies do not depend on what else is asked.
  std::optional<std::vector<Reply>> ask(std::span<const Asked>, const std::atomic<bool>& stop);

  int64_t queries() const { return queries_; }  // that ran so far
  uint64_t flops() const { return flops_; }     // executed for them, prefixes included

 private:
  struct Item {
    size_t suite = 0;
    datasets::Sample sample;
    tasks::Query query;
    std::string key;
    uint64_t seed = 0;
  };
  std::vector<double> costs_at(int64_t rows, size_t k, double useful, double* full) const;

  LoadedModel& model_;
  RunPlan plan_;
  tasks::Sandbox* sandbox_;
  std::vector<Item> items_;  // by row
  engine::train::Examples examples_;
  std::vector<engine::Feature> features_;
  std::vector<SweepQuestion> questions_;
  std::vector<std::unique_ptr<engine::ExpertPolicy>> policies_;  // fixed, by index of the grid
  int64_t too_long_ = 0, queries_ = 0;
  uint64_t flops_ = 0;
};

}  // namespace harness
