#include "engine/moe_layer.h"

#include <cassert>

#include "kernels/elementwise.h"
#include "kernels/matmul.h"

namespace engine {

int64_t experts_scratch_floats(const MoeConfig& moe, int64_t m) { return 2 * m * moe.d_shared; }

void run_experts(const LayerWeights& layer, const float* x, int64_t m, float* scratch, float* y,
                 kernels::ThreadPool& pool) {
  assert(layer.experts.size() == 1);
  const Expert& e = layer.experts.front();
  const int64_t d_model = e.gate.n_in(), d_expert = e.gate.n_out();
  float* gate = scratch;
  float* up = scratch + m * d_expert;
  kernels::matmul(x, d_model, m, e.gate, nullptr, gate, d_expert, pool);
  kernels::matmul(x, d_model, m, e.up, nullptr, up, d_expert, pool);
  kernels::swiglu(gate, up, m, d_expert, gate, pool);
  kernels::matmul(gate, d_expert, m, e.down, nullptr, y, d_model, pool);
}

}  // namespace engine
