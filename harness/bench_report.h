// Owns how speeds are shown: a table beside the machine's limits, what the cases say of each other,
// and JSON with every round.
#pragma once

#include <string>
#include <vector>

#include "harness/bench.h"

namespace harness {

// What was timed.
struct BenchSubject {
  std::string model, dtype, instruction_set, cpu, commit;
  engine::DeviceFacts device;
  std::string driver, cuda;  // of a GPU
  uint64_t weight_bytes = 0;
  int threads = 0;
  double load_seconds = 0;
};

// One case as a multiple of another's speed, by the best and by the median round.
struct SpeedRatio {
  std::string what;
  double best = 0, median = 0;
};
// Those whose two sides were measured: a small k over the largest, several streams over one, a
// prefix computed once, mixed budgets over their mean.
std::vector<SpeedRatio> speed_ratios(const BenchReport&);

std::string render_bench(const BenchSubject&, const BenchReport&, bool markdown);
std::string bench_json(const BenchSubject&, const BenchReport&);

}  // namespace harness
