#include "engine/moe_layer.h"

#include <fmt/format.h>

#include <cassert>
#include <exception>
#include <stdexcept>
#include <vector>

#include "engine/comm/placement.h"
#include "engine/comm/self.h"
#include "engine/comm/threads.h"
#include "engine/expert_router.h"
#include "engine/expert_runner.h"

namespace engine {
namespace {

// A rank waits so long for the slowest one: the longest step of the largest model on one thread.
constexpr std::chrono::minutes kRankDeadline{30};

// Throws the error that came first in the order of causes: a rank's own one before those of the
// ranks that it took along.
void rethrow_cause(const std::vector<std::exception_ptr>& errors) {
  std::exception_ptr consequence;
  for (const std::exception_ptr& e : errors) {
    if (!e) continue;
    try {
      std::rethrow_exception(e);
    } catch (const CommError& c) {
      if (c.kind() != CommError::Kind::aborted) throw;
      if (!consequence) consequence = e;
    }
  }
  if (consequence) std::rethrow_exception(consequence);
}

}  // namespace

struct MoeLayer::Impl {
  Impl(const ModelConfig& c, GateNorm norm, int64_t max_rows, int n_ranks, kernels::ThreadPool& p)
      : d_model(c.d_model),
        pool(p),
        router(c, norm),
        placement(Placement::blocks(c.moe.n_routed(), n_ranks)),
        weights(static_cast<size_t>(max_rows * kMaxBudget)) {
    if (n_ranks == 1) {
      alone = std::make_unique<ExpertRunner>(c, placement, self, pool);
      return;
    }
    group = std::make_unique<ThreadsGroup>(n_ranks, kRankDeadline);
    threads = std::make_unique<kernels::ThreadPool>(n_ranks);
    errors.resize(static_cast<size_t>(n_ranks));
    for (int r = 0; r < n_ranks; ++r) {
      rank_pools.push_back(std::make_unique<kernels::ThreadPool>(1));
      runners.push_back(
          std::make_unique<ExpertRunner>(c, placement, group->rank(r), *rank_pools.back()));
    }
  }

  // Rank r has rows m*r/P .. m*(r+1)/P. Its thread comes from `threads`: a rank that waits for the
  // others holds one, so that P tasks always run at once.
  void run_ranks(const LayerWeights& w, const float* x, int64_t m, const int16_t* ids, float* y) {
    const auto n = static_cast<int64_t>(runners.size());
    threads->parallel_for(n, [&](int64_t r, int) {
      const int64_t first = m * r / n, rows = m * (r + 1) / n - first;
      errors[r] = nullptr;
      try {
        runners[r]->run(w, x + first * d_model, rows, first, ids + first * kMaxBudget,
                        weights.data() + first * kMaxBudget, y + first * d_model);
      } catch (const std::exception& e) {
        errors[r] = std::current_exception();
        group->rank(static_cast<int>(r)).abort(e.what());
      } catch (...) {
        errors[r] = std::current_exception();
        group->rank(static_cast<int>(r)).abort("an error without a name");
      }
    });
    for (const auto& rank_pool : rank_pools) {
      for (const auto kind : {kernels::OpKind::matmul, kernels::OpKind::attention}) {
        pool.launched(kind) += rank_pool->launched(kind);
        rank_pool->launched(kind) = {};
      }
    }
    rethrow_cause(errors);
  }

  const int64_t d_model;
  kernels::ThreadPool& pool;
  ExpertRouter router;
  const Placement placement;
  std::vector<float> weights;  // of the rows routed last
  // One rank.
  SelfCommunicator self;
  std::unique_ptr<ExpertRunner> alone;
  // More than one.
  std::unique_ptr<ThreadsGroup> group;
  std::unique_ptr<kernels::ThreadPool> threads;
  std::vector<std::unique_ptr<kernels::ThreadPool>> rank_pools;
  std::vector<std::unique_ptr<ExpertRunner>> runners;
  std::vector<std::exception_ptr> errors;
};

MoeLayer::MoeLayer(const ModelConfig& config, GateNorm norm, int64_t max_rows, int ranks,
                   kernels::ThreadPool& pool) {
  if (ranks < 1 || ranks > kMaxRanks) {
    throw std::invalid_argument(fmt::format("{} ranks, want 1 to {}", ranks, kMaxRanks));
  }
  impl_ = std::make_unique<Impl>(config, norm, max_rows, ranks, pool);
}

MoeLayer::~MoeLayer() = default;

void MoeLayer::explore(RouterExploration* e) { impl_->router.explore(e); }

void MoeLayer::route(const LayerWeights& w, int32_t layer, const float* x, int64_t m,
                     const ExpertBudget* const* budgets, StepRouting& step) {
  assert(m * kMaxBudget <= static_cast<int64_t>(impl_->weights.size()));
  impl_->router.route(w, layer, x, m, budgets, step.ids(layer), impl_->weights.data(),
                      step.margins(layer), step.faults(), impl_->pool);
}

void MoeLayer::run(const LayerWeights& w, int32_t layer, const float* x, int64_t m,
                   const StepRouting& step, float* y) {
  if (impl_->alone) {
    impl_->alone->run(w, x, m, 0, step.ids(layer), impl_->weights.data(), y);
  } else {
    impl_->run_ranks(w, x, m, step.ids(layer), y);
  }
}

}  // namespace engine
