#include "engine/moe_layer.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <vector>

#include "kernels/elementwise.h"
#include "kernels/matmul.h"

namespace engine {

struct MoeLayer::Impl {
  const ModelConfig& config;
  kernels::ThreadPool& pool;
  std::vector<float> scratch;
};

MoeLayer::MoeLayer(const ModelConfig& config, GateNorm, int64_t max_rows, int,
                   kernels::ThreadPool& pool)
    : impl_(std::make_unique<Impl>(config, pool,
                                   std::vector<float>(2 * max_rows * config.moe.d_shared))) {}
MoeLayer::~MoeLayer() = default;

void MoeLayer::route(const LayerWeights& w, int32_t layer, const float*, int64_t m,
                     const ExpertBudget* const*, StepRouting& routing) {
  assert(w.experts.size() == 1);
  (void)w;
  std::fill_n(routing.ids(layer), m * kMaxBudget, int16_t{-1});
  for (int64_t r = 0; r < m; ++r) routing.ids(layer)[r * kMaxBudget] = 0;
  std::fill_n(routing.margins(layer), m, std::numeric_limits<float>::quiet_NaN());
}

void MoeLayer::run(const LayerWeights& w, int32_t, const float* x, int64_t m, const StepRouting&,
                   float* y) {
  const Expert& e = w.experts.front();
  const int64_t d_model = e.gate.n_in(), width = e.gate.n_out();
  float *gate = impl_->scratch.data(), *up = gate + m * width;
  kernels::matmul(x, d_model, m, e.gate, nullptr, gate, width, impl_->pool);
  kernels::matmul(x, d_model, m, e.up, nullptr, up, width, impl_->pool);
  kernels::swiglu(gate, up, m, width, gate, impl_->pool);
  kernels::matmul(gate, width, m, e.down, nullptr, y, d_model, impl_->pool);
}

}  // namespace engine
