// Owns training without a sweep: the engine answers each question at the k that the policy draws,
// and the policy learns from whether that was right.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/policy/predictor_writer.h"
#include "engine/router_exploration.h"
#include "engine/train/options.h"
#include "engine/train/outcome.h"
#include "harness/commands.h"
#include "harness/question_bank.h"

namespace harness {

struct OnlinePlan {
  engine::train::Options options;  // epochs: passes over the questions; one step a batch
  double held_out = 0.25;          // share of the seed items that are kept to judge by
  // Trained too, by the same rewards; null = the model's routers stay as they are. One query runs
  // at a time then.
  engine::RouterExploration* routers = nullptr;
  double router_rate = 1;
};

// A policy on the questions kept to judge by, at lambda.
struct OnlineRow {
  std::string name, about;
  engine::train::Outcome outcome;
};

struct OnlineResult {
  int64_t trained_on = 0, held_out = 0;  // questions
  int64_t held_out_items = 0;
  int64_t queries = 0, judging_queries = 0;  // that ran: to learn from; to judge by
  uint64_t flops = 0, judging_flops = 0;     // executed for them
  int passes = 0;                            // whole ones
  double first_reward = 0, last_reward = 0;  // mean of the first and the last pass
  bool interrupted = false;                  // then there are no rows
  std::vector<OnlineRow> rows;               // the policy first, the oracle last
  // Of the questions kept to judge by, at each k of the grid: only where routers are trained.
  std::vector<double> accuracy_before, accuracy_after;
  engine::PredictorContent predictor;  // of the last whole step; without training_json
};

// save: called after every pass, and at an interruption, with what there is by then. `stop` ends
// training after the last whole step. Throws UsageError: too few seed items to keep some.
OnlineResult train_online(QuestionBank&, const OnlinePlan&,
                          const std::function<void(const OnlineResult&)>& save,
                          const std::atomic<bool>& stop);

// `train --online`. options: those of the networks, as command_train made them.
int command_train_online(const TrainOptions&, const engine::train::Options& options);

}  // namespace harness
