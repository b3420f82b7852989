// Owns the measuring of speed: every round runs each case once, so that what disturbs the machine
// disturbs all of them, and measures the limits of the machine beside them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/bench_work.h"

namespace harness {

struct BenchResult {
  std::string name, variant;
  double k = 0;
  int32_t streams = 1;
  int64_t tokens = 0;
  uint64_t flops = 0;           // launched in a round
  uint64_t weight_bytes = 0;    // of weights that its ops read, a matrix once an op; no KV
  std::vector<double> seconds;  // of each round, in order

  double best() const;    // shortest: interference only slows
  double median() const;  // shows the noise
};

struct BenchReport {
  // What the limits are. On the CPU: fp32 multiply-adds in registers, a plain read of memory. On a
  // GPU: a dense product in its element type, a copy of memory.
  std::string flops_limit, bytes_limit;
  std::vector<double> limit_flops, limit_bytes;  // a second, of each round
  std::vector<BenchResult> cases;

  double best_flops() const;
  double best_bytes() const;
};

// progress is called after each case of each round, the untimed first one included (n_steps times);
// it returns false to stop, which leaves the rounds that are whole.
BenchReport bench(engine::Engine&, const BenchWork&, int rounds,
                  const std::function<bool()>& progress);
int64_t bench_steps(const BenchWork&, int rounds);

}  // namespace harness
