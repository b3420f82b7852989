// Owns the leaderboard: from stored attempts to one line per run, policy and task, every figure
// with its n and its interval, or n/a.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/commands.h"
#include "tasks/metrics.h"
#include "tasks/percentile.h"

namespace harness {

// What the store knows about one task of one run under one policy, its queries as they are (of a
// sweep: without rotated options and other wordings).
struct BoardInput {
  bool of_sweep = false;  // one k of a sweep, not a policy's run
  std::string run_uuid, run_name, started_at, status;
  std::string gate_norm = "model";
  std::string model, policy, task, suite, metric, scenario, data;
  std::string identity;  // of model, data and seed: what the name may leave out
  int64_t n_shot = 0;
  int64_t n_experts = 1;
  std::optional<double> chance;
  int64_t planned = 0;  // attempts
  int64_t done = 0;
  int64_t failed = 0;  // attempts that ended in anything but an answer; counted as wrong
  struct Attempt {
    std::string sample, cluster;
    std::optional<bool> correct;  // empty = not graded: neither right nor wrong
    std::optional<int64_t> latency_us;
    std::optional<int64_t> useful_flops;
    std::optional<double> k_mean;
  };
  std::vector<Attempt> attempts;
};

struct BoardRow {
  const BoardInput* input = nullptr;
  int64_t n = 0;       // samples that the score is over
  double score = 0;    // 0..1: micro accuracy or pass@1; meaningless when n == 0
  std::string method;  // of the interval: wilson, bootstrap
  std::optional<tasks::Interval> interval;  // 95%
  std::optional<double> stderr_pooled;      // over fixed subjects (lm-eval's)
  std::optional<double> stderr_clustered;   // subjects as a sample
  std::optional<double> macro;              // mean of subjects; where there are several
  std::map<int, std::pair<double, tasks::Bootstrap>> pass_at_k;  // k > 1, when n allows
  std::optional<double> flops_per_query, flops_per_correct;
  std::optional<double> mean_k;  // experts per token and layer, mean over attempts
  std::optional<tasks::Percentile> p50_ms, p99_ms;  // `single` scenario only
  std::vector<tasks::Group> subjects;               // scores by subject
};

BoardRow make_row(const BoardInput&);

std::string render_board(const std::vector<BoardRow>&, Format, bool subjects);

}  // namespace harness
