// End-to-end speed of the engine on one model: prefill, decode on 1 and 16 streams, and MMLU-shaped
// work with and without the shared prefix. MOEVAL_MODEL names the file, MOEVAL_THREADS the threads.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/engine.h"

namespace {

engine::Engine& engine_under_test() {
  static const auto engine = [] {
    const char* path = std::getenv("MOEVAL_MODEL");
    if (path == nullptr) {
      std::fprintf(stderr, "MOEVAL_MODEL does not name a model file\n");
      std::exit(2);
    }
    const char* threads = std::getenv("MOEVAL_THREADS");
    engine::EngineOptions options;
    options.threads = threads == nullptr ? 0 : std::atoi(threads);
    return engine::Engine::load(*engine::Checkpoint::open(path), options);
  }();
  return *engine;
}

// Ids that differ, so that no run of equal tokens flatters the caches.
std::vector<engine::TokenId> tokens(int64_t n, int64_t seed) {
  std::vector<engine::TokenId> out;
  uint64_t state = static_cast<uint64_t>(seed) * 2654435761u + 12345;
  for (int64_t i = 0; i < n; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    out.push_back(static_cast<engine::TokenId>((state >> 33) % 40000 + 100));
  }
  return out;
}

void run(std::vector<engine::Request> requests) {
  static const std::atomic<bool> stop{false};
  size_t next = 0;
  engine_under_test().run(
      [&]() -> std::optional<engine::Request> {
        if (next == requests.size()) return std::nullopt;
        return std::move(requests[next++]);
      },
      [](engine::Completion) {}, stop);
}

void set_rates(benchmark::State& state, int64_t tokens_per_iteration, uint64_t flops_before) {
  const auto launched = engine_under_test().launched().executed_flops() - flops_before;
  state.counters["tok/s"] = benchmark::Counter(
      static_cast<double>(tokens_per_iteration * state.iterations()), benchmark::Counter::kIsRate);
  state.counters["GFLOP/s"] =
      benchmark::Counter(static_cast<double>(launched) * 1e-9, benchmark::Counter::kIsRate);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  state.counters["peak_MB"] = static_cast<double>(usage.ru_maxrss) / 1024;
}

void prefill(benchmark::State& state) {
  const int64_t n = state.range(0);
  const auto before = engine_under_test().launched().executed_flops();
  for (auto _ : state) {
    engine::Request r;
    r.tokens = tokens(n, 1);
    r.continuations = {{17}};
    run({r});
  }
  set_rates(state, n, before);
}
BENCHMARK(prefill)->Arg(512)->UseRealTime()->Unit(benchmark::kMillisecond);

void decode(benchmark::State& state) {
  const int64_t streams = state.range(0), n_new = 64;
  const auto before = engine_under_test().launched().executed_flops();
  for (auto _ : state) {
    std::vector<engine::Request> requests;
    for (int64_t s = 0; s < streams; ++s) {
      engine::Request r;
      r.id = static_cast<uint64_t>(s);
      r.tokens = tokens(4, s);
      r.max_new_tokens = static_cast<int32_t>(n_new);
      requests.push_back(r);
    }
    run(std::move(requests));
  }
  set_rates(state, streams * n_new, before);
}
BENCHMARK(decode)->Arg(1)->Arg(16)->UseRealTime()->Unit(benchmark::kMillisecond);

// 64 questions of 111 tokens after a prefix of 620: the mean lengths of MMLU 5-shot with the
// GPT-NeoX vocabulary. A subject has 246 questions on average, so the prefix weighs even less
// there.
void mmlu_shaped(benchmark::State& state) {
  const bool reuse = state.range(0) == 1;
  constexpr int64_t kQuestions = 64, kPrefix = 620, kQuestion = 111;
  const auto before = engine_under_test().launched().executed_flops();
  for (auto _ : state) {
    const auto shared = tokens(kPrefix, 7);
    std::shared_ptr<const engine::Prefix> prefix;
    engine::ComputeLedger ledger;
    if (reuse) prefix = engine_under_test().make_prefix(shared, {}, &ledger);
    std::vector<engine::Request> requests;
    for (int64_t q = 0; q < kQuestions; ++q) {
      engine::Request r;
      r.id = static_cast<uint64_t>(q);
      r.tokens = shared;
      const auto own = tokens(kQuestion, 100 + q);
      r.tokens.insert(r.tokens.end(), own.begin(), own.end());
      r.prefix = prefix;
      r.continuations = {{10}, {11}, {12}, {13}};
      requests.push_back(r);
    }
    run(std::move(requests));
  }
  set_rates(state, kQuestions * (kPrefix + kQuestion), before);
}
BENCHMARK(mmlu_shaped)
    ->ArgName("reuse")
    ->Arg(0)
    ->Arg(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
