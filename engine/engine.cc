#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "engine/backend.h"
#include "engine/cost_model.h"
#include "engine/kv_cache.h"
#include "engine/prefix.h"
#include "engine/scheduler.h"

namespace engine {
namespace {

EngineOptions resolve(EngineOptions o, const ModelConfig& config) {
  if (o.threads <= 0) o.threads = kernels::usable_cores();
  o.max_streams = std::max(o.max_streams, 1);
  o.max_batch_rows = std::max<int64_t>(o.max_batch_rows, 0);
  o.ranks = std::max(o.ranks, 1);
  o.max_tokens = o.max_tokens > 0 ? std::min(o.max_tokens, config.max_tokens) : config.max_tokens;
  return o;
}

int64_t batch_capacity(const EngineOptions& o) {
  return std::max<int64_t>(o.max_batch_rows, o.max_streams);
}

}  // namespace

struct Engine::Impl {
  Impl(const Checkpoint& checkpoint, const EngineOptions& o)
      : config(checkpoint.config()),
        options(resolve(o, config)),
        pool(options.threads),
        backend(make_backend(checkpoint, config, options, pool)),
        cost(config),
        context{backend->kv_pool(), cost, config,
                [this](const RoutingTrace& trace) { return backend->bytes_used(trace); },
                options.max_tokens} {}

  void check_tokens(std::span<const TokenId> tokens, const ExpertBudget& budget) const {
    Request r;
    r.budget = budget;
    r.tokens.assign(tokens.begin(), tokens.end());
    check_request(r, config);
    if (auto why = RunningRequest::too_long(r, options.max_tokens)) throw std::length_error(*why);
  }

  // Runs a sequence in chunks, asking the head of every row for `wants`; after(batch, first)
  // follows each of them.
  template <class After>
  KvSequence run_sequence(std::span<const TokenId> tokens, const ExpertBudget& budget,
                          uint8_t wants, const After& after) {
    check_tokens(tokens, budget);
    KvSequence kv(backend->kv_pool());
    // Whole rows of logits are large: fewer of them at a time.
    const int64_t rows = batch_capacity(options);
    RaggedBatch batch(wants & kWantLogits ? std::min<int64_t>(rows, 512) : rows);
    HeadAsks asks;
    for (size_t i = 0; i < tokens.size();) {
      const size_t first = i;
      batch.clear();
      asks.clear();
      for (; i < tokens.size() && batch.room() > 0; ++i) {
        const int32_t row = batch.add(kv, tokens[i], static_cast<int64_t>(i), budget);
        if (wants != 0) asks.add(row, wants);
      }
      backend->forward().run(batch, asks);
      after(batch, first);
    }
    return kv;
  }

  const ModelConfig config;
  EngineOptions options;
  kernels::ThreadPool pool;
  const std::unique_ptr<Backend> backend;
  const CostModel cost;
  const RequestContext context;
};

Engine::Engine() = default;
Engine::~Engine() = default;

std::unique_ptr<Engine> Engine::load(const Checkpoint& checkpoint, const EngineOptions& options) {
  std::unique_ptr<Engine> engine(new Engine);
  engine->impl_ = std::make_unique<Impl>(checkpoint, options);
  return engine;
}

const ModelConfig& Engine::config() const { return impl_->config; }
const EngineOptions& Engine::options() const { return impl_->options; }
DeviceFacts Engine::device() const { return impl_->backend->facts(); }
int64_t Engine::max_tokens() const { return impl_->options.max_tokens; }

std::shared_ptr<const Prefix> Engine::make_prefix(std::span<const TokenId> tokens,
                                                  const ExpertBudget& budget,
                                                  ComputeLedger* ledger) {
  const auto n = static_cast<int64_t>(tokens.size());
  const ModelConfig& config = impl_->config;
  TokenRouting routing;
  KvSequence kv = impl_->run_sequence(tokens, budget, 0, [&](const RaggedBatch&, size_t) {
    routing.append(impl_->backend->forward().routing());
  });
  if (ledger) {
    RoutingTrace trace(config.n_layers, config.moe.n_experts);
    trace.add(routing, n);
    impl_->cost.add_rows(*ledger, CostModel::Book::executed, 0, n, budget);
    impl_->cost.add_calls(*ledger, CostModel::Book::executed, trace.calls(config.moe.n_shared));
  }
  return std::make_shared<const Prefix>(std::vector<TokenId>(tokens.begin(), tokens.end()), budget,
                                        std::move(kv), std::move(routing));
}

void Engine::run(const RequestSource& source, const CompletionSink& sink,
                 const std::atomic<bool>& stop) {
  Scheduler(impl_->backend->forward(), impl_->context, batch_capacity(impl_->options),
            impl_->options.max_streams, impl_->pool.size())
      .run(source, sink, stop);
}

ExpertBudget Engine::trained_budget() const {
  ExpertBudget budget;
  budget.k = impl_->config.moe.trained_k;
  return budget;
}

void Engine::embedding(TokenId token, float* dst) const { impl_->backend->embedding(token, dst); }

void Engine::observe_ffn(std::function<void(int32_t, const float*, int64_t)> observer) {
  impl_->backend->observe_ffn(std::move(observer));
}

void Engine::explore_routers(RouterExploration* e) { impl_->backend->explore_routers(e); }

std::vector<float> Engine::logits(std::span<const TokenId> tokens, const ExpertBudget& budget) {
  const int64_t vocab = impl_->config.vocab;
  std::vector<float> all(tokens.size() * vocab);
  impl_->run_sequence(tokens, budget, kWantLogits, [&](const RaggedBatch&, size_t first) {
    impl_->backend->forward().read_heads([&](int64_t i, const HeadView& view, int) {
      std::copy_n(view.logits, vocab, all.data() + (static_cast<int64_t>(first) + i) * vocab);
    });
  });
  return all;
}

ComputeLedger Engine::launched() const { return impl_->backend->forward().launched(); }

uint64_t Engine::weight_bytes() const { return impl_->backend->weight_bytes(); }

ComputeLedger Engine::cost_of(int64_t prompt_tokens, int64_t head_rows,
                              const ExpertBudget& budget) const {
  ComputeLedger ledger;
  impl_->cost.add_rows(ledger, CostModel::Book::both, 0, prompt_tokens, budget);
  impl_->cost.add_calls(ledger, CostModel::Book::both, impl_->cost.calls_at(budget, prompt_tokens));
  impl_->cost.add_head(ledger, CostModel::Book::both, head_rows);
  return ledger;
}

}  // namespace engine
