#include "engine/moe_layer.h"

#include <cassert>
#include <vector>

#include "engine/comm/placement.h"
#include "engine/comm/self.h"
#include "engine/expert_router.h"
#include "engine/expert_runner.h"

namespace engine {

struct MoeLayer::Impl {
  Impl(const ModelConfig& c, GateNorm norm, int64_t max_rows, int ranks, kernels::ThreadPool& p)
      : pool(p),
        router(c, norm),
        placement(Placement::blocks(c.moe.n_routed(), ranks)),
        runner(c, placement, self, pool),
        weights(static_cast<size_t>(max_rows * kMaxBudget)) {}

  kernels::ThreadPool& pool;
  ExpertRouter router;
  const Placement placement;
  SelfCommunicator self;
  ExpertRunner runner;
  std::vector<float> weights;  // of the rows routed last
};

MoeLayer::MoeLayer(const ModelConfig& config, GateNorm norm, int64_t max_rows, int ranks,
                   kernels::ThreadPool& pool)
    : impl_(std::make_unique<Impl>(config, norm, max_rows, ranks, pool)) {}

MoeLayer::~MoeLayer() = default;

void MoeLayer::route(const LayerWeights& w, int32_t layer, const float* x, int64_t m,
                     const ExpertBudget* const* budgets, StepRouting& step) {
  assert(m * kMaxBudget <= static_cast<int64_t>(impl_->weights.size()));
  impl_->router.route(w, layer, x, m, budgets, step.ids(layer), impl_->weights.data(),
                      step.margins(layer), impl_->pool);
}

void MoeLayer::run(const LayerWeights& w, int32_t layer, const float* x, int64_t m,
                   const StepRouting& step, float* y) {
  impl_->runner.run(w, x, m, 0, step.ids(layer), impl_->weights.data(), y);
}

}  // namespace engine
