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
  std::vector<double> fma_flops;   // FLOPs/s of each round: fp32 multiply-adds in registers
  std::vector<double> read_bytes;  // bytes/s of each round: a plain read of memory
  std::vector<BenchResult> cases;

  double best_fma() const;
  double best_read() const;
};

// progress is called after each case of each round, the untimed first one included (n_steps times);
// it returns false to stop, which leaves the rounds that are whole.
BenchReport bench(engine::Engine&, const BenchWork&, int rounds,
                  const std::function<bool()>& progress);
int64_t bench_steps(const BenchWork&, int rounds);

}  // namespace harness
