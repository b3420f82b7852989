// Runs requests through an engine and collects what comes back, for tests of the engine.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "engine/engine.h"
#include "tests/support/tiny_checkpoint.h"

namespace test_support {

inline std::unique_ptr<engine::Engine> load(const engine::Checkpoint& checkpoint,
                                            int64_t max_batch_rows = 512, int32_t max_streams = 16,
                                            int threads = 1, int ranks = 1) {
  engine::EngineOptions o;
  o.threads = threads;
  o.max_batch_rows = max_batch_rows;
  o.max_streams = max_streams;
  o.ranks = ranks;
  return engine::Engine::load(checkpoint, o);
}

inline std::vector<engine::TokenId> random_tokens(size_t n, uint64_t seed, int32_t vocab = 97) {
  std::mt19937_64 random(seed);
  std::vector<engine::TokenId> tokens(n);
  for (auto& t : tokens) {
    t = static_cast<engine::TokenId>(random() % static_cast<uint64_t>(vocab));
  }
  return tokens;
}

// Completions by request id. `order`, when given, receives ids as they complete.
inline std::map<uint64_t, engine::Completion> run_all(engine::Engine& engine,
                                                      std::vector<engine::Request> requests) {
  std::map<uint64_t, engine::Completion> done;
  size_t next = 0;
  const std::atomic<bool> stop{false};
  engine.run(
      [&]() -> std::optional<engine::Request> {
        if (next == requests.size()) return std::nullopt;
        return requests[next++];
      },
      [&](engine::Completion c) {
        const uint64_t id = c.id;
        done.emplace(id, std::move(c));
      },
      stop);
  return done;
}

inline engine::Completion run_one(engine::Engine& engine, engine::Request request) {
  request.id = 1;
  auto done = run_all(engine, {std::move(request)});
  return std::move(done.at(1));
}

// Budgets of every kind that a model with `max_k` experts can run, request after request.
inline std::vector<engine::Request> with_mixed_budgets(std::vector<engine::Request> requests,
                                                       int32_t max_k, int32_t n_layers) {
  for (size_t i = 0; i < requests.size(); ++i) {
    engine::ExpertBudget& b = requests[i].budget;
    b.k = 1 + static_cast<int32_t>((i * 5 + 3) % static_cast<size_t>(max_k));
    using engine::Selector;
    switch (i % 5) {
      case 0:
        break;
      case 1:
        b.selector = Selector::top_p;
        b.value = 0.4f;
        break;
      case 2:
        b.selector = Selector::threshold;
        b.value = 0.1f;
        break;
      case 3:
        b.selector = Selector::entropy;
        b.value = 0.5f;
        b.slope = static_cast<float>(max_k);
        break;
      case 4:
        for (int32_t l = 0; l < n_layers; ++l) {
          b.k_per_layer.push_back(static_cast<int16_t>(1 + (b.k + l) % max_k));
        }
        break;
    }
  }
  return requests;
}

// Requests of every kind, their prompts long and short around the KV block size of 64. Ids count
// from 1.
inline std::vector<engine::Request> mixed_requests() {
  std::vector<engine::Request> requests;
  const size_t lengths[] = {1, 70, 5, 64, 130, 63, 31, 128, 65, 20, 90, 2};
  for (size_t i = 0; i < std::size(lengths); ++i) {
    engine::Request r;
    r.id = i + 1;
    r.tokens = random_tokens(lengths[i], 100 + i);
    if (i % 4 == 0) r.continuations = {{1}, {2}, {3}, {4}};
    if (i % 4 == 1) {
      r.continuations = {random_tokens(3, i), random_tokens(1, i), random_tokens(9, i + 50)};
    }
    if (i % 4 == 2 || i == 5) {
      r.max_new_tokens = static_cast<int32_t>(4 + i);
      r.stop_tokens = {11, 12};
      if (i % 8 == 2) r.sampling = {0.8f, 0.9f, 1000 + i};
    }
    if (i % 4 == 3) r.continuations = {random_tokens(40, i)};
    r.want_logits = i % 3 == 0;
    requests.push_back(std::move(r));
  }
  return requests;
}

}  // namespace test_support
