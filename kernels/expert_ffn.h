// Contract of the gated feed-forward blocks of several experts, each over rows of its own.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cost.h"
#include "kernels/packed_matrix.h"
#include "kernels/thread_pool.h"

namespace kernels {

// One expert and its rows: x, y [rows, d_model], without gaps. gate, up [width, d_model], down
// [d_model, width]; widths may differ between groups.
struct ExpertGroup {
  const PackedMatrix *gate = nullptr, *up = nullptr, *down = nullptr;
  const float* x = nullptr;
  float* y = nullptr;
  int64_t rows = 0;
};

// Memory that a caller keeps between calls; it grows to what the largest call needed.
struct ExpertScratch {
  std::vector<float> hidden;
  std::vector<int64_t> hidden_at, task_at;
};

// y = down(silu(gate x) * up x) for the rows of every group, as one list of tasks: nothing is
// padded to the largest group, empty groups cost nothing, and weights are read once per block of
// rows. Each row is bitwise what matmul, swiglu and matmul of its expert give for it alone. y of a
// group must not overlap any x.
void expert_ffn(std::span<const ExpertGroup>, ExpertScratch&, ThreadPool&);

// Sum over groups that have rows of the cost of their three products.
Cost expert_ffn_cost(std::span<const ExpertGroup>);

}  // namespace kernels
