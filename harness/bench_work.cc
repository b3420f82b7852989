#include "harness/bench_work.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <optional>

#include "harness/exit_code.h"
#include "harness/run_plan.h"

namespace harness {
namespace {

using engine::Request;
using engine::TokenId;

// MMLU with 5 demonstrations: mean lengths with the GPT-NeoX vocabulary. A subject has 246
// questions on average, so the prefix weighs still less there than with 32.
constexpr int64_t kMmluPrefix = 620, kMmluQuestion = 111, kMmluAll = 14042, kMmluSubjects = 57;
constexpr uint64_t kMmluSeeds = 1'000'003;  // between subjects
// HumanEval: the mean prompt, and lengths spread like those of its reference solutions (mean 71,
// median 59), in an order that is not by length.
constexpr int64_t kCodePrompt = 154;
constexpr std::array<int32_t, 10> kCodeLengths = {54, 13, 122, 34, 78, 24, 190, 65, 44, 86};
constexpr int64_t kDecodePrompt = 128, kMixedPrompts = 8;

// Ids that differ, so that no run of equal tokens flatters the caches.
std::vector<TokenId> tokens(int64_t n, uint64_t seed, int64_t vocab) {
  std::vector<TokenId> out;
  uint64_t state = seed * 2654435761u + 12345;
  for (int64_t i = 0; i < n; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    out.push_back(static_cast<TokenId>((state >> 33) % static_cast<uint64_t>(vocab)));
  }
  return out;
}

void run_all(engine::Engine& engine, std::vector<Request> requests) {
  static const std::atomic<bool> never{false};
  size_t next = 0;
  engine.run(
      [&]() -> std::optional<Request> {
        if (next == requests.size()) return std::nullopt;
        return std::move(requests[next++]);
      },
      [](engine::Completion) {}, never);
}

}  // namespace

std::vector<std::string> bench_case_names() {
  return {"prefill", "decode", "mixed_prefill", "mixed_decode", "mmlu", "humaneval"};
}

BenchWork::BenchWork(engine::Engine& engine, const BenchSettings& settings)
    : engine_(engine), settings_(settings) {
  const auto names = bench_case_names();
  for (const auto& name : settings_.only)
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw UsageError(fmt::format("--only {}: want some of {}", name, fmt::join(names, ", ")));
  const int64_t most = engine.max_tokens();
  if (settings_.prompt_tokens + 1 > most || kDecodePrompt + 1 + settings_.new_tokens > most)
    throw UsageError(fmt::format(
        "--prompt {} and --new-tokens {}: the model holds {} tokens, of which decoding puts {} "
        "before the new ones",
        settings_.prompt_tokens, settings_.new_tokens, most, kDecodePrompt + 1));
  const auto grid = clipped_grid(settings_.grid, engine.config().moe.max_k());
  for (const int32_t k : grid) add_prefill(k);
  for (const int32_t k : grid) add_decode("decode", fmt::format("k={}", k), {k});
  const auto all = static_cast<size_t>(settings_.streams);
  if (all > 1)
    for (const int32_t k : grid)
      add_decode("decode", fmt::format("k={}", k), std::vector<int32_t>(all, k));
  add_mixed(engine.config().moe.max_k());
  add_mmlu();
  add_code(1);
  if (all > 1) add_code(settings_.streams);
}

bool BenchWork::wants(const char* name) const {
  const auto& only = settings_.only;
  return only.empty() || std::find(only.begin(), only.end(), name) != only.end();
}

Request BenchWork::request(int64_t n_tokens, uint64_t seed, int32_t k) const {
  Request r;
  r.id = seed;
  r.tokens = tokens(n_tokens, seed, engine_.config().vocab);
  r.budget.k = k;
  return r;
}

// Computed in the first, untimed round.
std::shared_ptr<const engine::Prefix> BenchWork::prefix(const Request& r, uint64_t stream) {
  auto& made = prefixes_[{r.budget.k, stream}];
  if (!made) made = engine_.make_prefix(r.tokens, r.budget, nullptr);
  return made;
}

void BenchWork::add_prefill(int32_t k) {
  if (!wants("prefill")) return;
  cases_.push_back({"prefill", fmt::format("k={}", k), static_cast<double>(k), 1,
                    settings_.prompt_tokens, [this, k] {
                      Request r = request(settings_.prompt_tokens, 1, k);
                      r.continuations = {{0}};
                      run_all(engine_, {std::move(r)});
                    }});
}

void BenchWork::add_decode(const char* name, std::string variant, std::vector<int32_t> budgets) {
  if (!wants(name)) return;
  const auto n = static_cast<int32_t>(budgets.size());
  const double mean = std::accumulate(budgets.begin(), budgets.end(), 0.0) / n;
  cases_.push_back({name, std::move(variant), mean, n, n * settings_.new_tokens,
                    [this, budgets = std::move(budgets)] {
                      std::vector<Request> requests;
                      for (const int32_t k : budgets) {
                        const uint64_t stream = requests.size();
                        Request r = request(kDecodePrompt, 7000 + stream, k);
                        r.prefix = prefix(r, stream);
                        r.id = stream;
                        r.tokens.push_back(tokens(1, 50 + r.id, engine_.config().vocab).front());
                        r.max_new_tokens = settings_.new_tokens;
                        requests.push_back(std::move(r));
                      }
                      run_all(engine_, std::move(requests));
                    }});
}

// Half of the queries at mean - d, half at mean + d, beside all of them at the mean.
void BenchWork::add_mixed(int32_t max_k) {
  const int32_t mean = max_k / 2, d = mean / 2;
  if (d < 1) return;
  for (const bool mixed : {false, true}) {
    const auto variant =
        mixed ? fmt::format("mixed {},{}", mean - d, mean + d) : fmt::format("fixed {}", mean);
    const auto budget = [=](int64_t i) { return !mixed ? mean : i % 2 == 0 ? mean - d : mean + d; };
    if (wants("mixed_prefill")) {
      const int64_t each = std::max<int64_t>(1, settings_.prompt_tokens / kMixedPrompts);
      cases_.push_back({"mixed_prefill", variant, static_cast<double>(mean), 1,
                        each * kMixedPrompts, [this, budget, each] {
                          std::vector<Request> requests;
                          for (int64_t i = 0; i < kMixedPrompts; ++i) {
                            requests.push_back(request(each, static_cast<uint64_t>(i), budget(i)));
                            requests.back().continuations = {{0}};
                          }
                          run_all(engine_, std::move(requests));
                        }});
    }
    std::vector<int32_t> budgets;
    for (int64_t s = 0; s < settings_.streams / 2 * 2; ++s) budgets.push_back(budget(s));
    if (!budgets.empty()) add_decode("mixed_decode", variant, std::move(budgets));
  }
}

// One subject, as a run asks it: its demonstrations first, then its questions together.
void BenchWork::run_mmlu_subject(int64_t subject, int64_t n_questions, bool prefix_once) {
  const int32_t k = engine_.config().moe.trained_k;
  const auto seed = static_cast<uint64_t>(subject) * kMmluSeeds;
  const Request shared = request(kMmluPrefix, seed + 11, k);
  std::shared_ptr<const engine::Prefix> made;
  if (prefix_once) made = engine_.make_prefix(shared.tokens, shared.budget, nullptr);
  std::vector<Request> requests;
  for (int64_t q = 0; q < n_questions; ++q) {
    Request r = shared;
    const Request own = request(kMmluQuestion, seed + 100 + static_cast<uint64_t>(q), k);
    r.tokens.insert(r.tokens.end(), own.tokens.begin(), own.tokens.end());
    r.prefix = made;
    r.continuations = {{0}, {1}, {2}, {3}};
    requests.push_back(std::move(r));
  }
  run_all(engine_, std::move(requests));
}

// Questions beyond one subject's are spread over as many subjects as MMLU has for so many. Whole
// prompts are then left out: they say nothing new, and take six times as long.
void BenchWork::add_mmlu() {
  if (!wants("mmlu") || kMmluPrefix + kMmluQuestion + 1 > engine_.max_tokens()) return;
  const int64_t questions = settings_.mmlu_questions;
  const int64_t subjects =
      std::max<int64_t>(1, (questions * kMmluSubjects + kMmluAll / 2) / kMmluAll);
  const auto first_of = [=](int64_t subject) { return questions * subject / subjects; };
  for (const bool once : {false, true}) {
    if (!once && subjects > 1) continue;
    BenchCase c{"mmlu",
                once ? "prefix once" : "whole",
                static_cast<double>(engine_.config().moe.trained_k),
                1,
                questions * (kMmluPrefix + kMmluQuestion),
                [this, once, subjects, first_of] {
                  for (int64_t s = 0; s < subjects; ++s)
                    run_mmlu_subject(s, first_of(s + 1) - first_of(s), once);
                }};
    if (subjects > 1) {
      c.variant += fmt::format(", {} subjects", subjects);
      c.warm_up = [this, once, first_of] { run_mmlu_subject(0, first_of(1), once); };
    }
    cases_.push_back(std::move(c));
  }
}

// Twice as many problems as streams, so that slots are refilled.
void BenchWork::add_code(int32_t streams) {
  const int32_t k = engine_.config().moe.trained_k;
  const int64_t longest = *std::max_element(kCodeLengths.begin(), kCodeLengths.end());
  if (!wants("humaneval") || kCodePrompt + longest > engine_.max_tokens()) return;
  const auto problems = static_cast<size_t>(2 * settings_.streams);
  int64_t written = 0;
  for (size_t i = 0; i < problems; ++i) written += kCodeLengths[i % kCodeLengths.size()];
  cases_.push_back({"humaneval", fmt::format("{} stream{}", streams, streams == 1 ? "" : "s"),
                    static_cast<double>(k), streams, written, [this, streams, problems, k] {
                      std::vector<Request> requests;
                      for (size_t i = 0; i < problems; ++i) {
                        requests.push_back(request(kCodePrompt, 1000 + i, k));
                        requests.back().max_new_tokens = kCodeLengths[i % kCodeLengths.size()];
                      }
                      if (streams > 1) return run_all(engine_, std::move(requests));
                      for (Request& r : requests) {
                        std::vector<Request> one;
                        one.push_back(std::move(r));
                        run_all(engine_, std::move(one));
                      }
                    }});
}

}  // namespace harness
