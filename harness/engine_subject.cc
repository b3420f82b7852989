#include "harness/engine_subject.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <string>

#include "datasets/sha256.h"
#include "harness/clock.h"
#include "tasks/stops.h"

namespace harness {
namespace {

// A shorter prefix saves less than the fork's copy of its last cache block costs.
constexpr size_t kMinSharedTokens = 32;

std::string prefix_key(std::span<const engine::TokenId> tokens, const engine::ExpertBudget& budget) {
  std::string bytes = budget.key() + ":";
  bytes.append(reinterpret_cast<const char*>(tokens.data()), tokens.size_bytes());
  return datasets::sha256_hex(bytes);
}

tasks::Answer::Status status_of(engine::Outcome o) {
  switch (o) {
    case engine::Outcome::ok:
      return tasks::Answer::Status::ok;
    case engine::Outcome::too_long:
      return tasks::Answer::Status::too_long;
    case engine::Outcome::not_finite:
      return tasks::Answer::Status::not_finite;
    case engine::Outcome::cancelled:
      return tasks::Answer::Status::cancelled;
  }
  return tasks::Answer::Status::not_finite;
}

void fill_answer(const tasks::Query& q, const engine::Tokenizer& tokenizer,
                 const engine::Completion& c, tasks::Answer* answer) {
  answer->status = status_of(c.outcome);
  if (c.outcome != engine::Outcome::ok) return;
  if (q.kind == tasks::Query::Kind::choose) {
    for (const auto& s : c.scores)
      answer->options.push_back({s.logprob, static_cast<int>(s.token_logprobs.size())});
    return;
  }
  const std::string text = tokenizer.decode(c.tokens);
  answer->text = tasks::cut_at_stop(text, q.stops);
  answer->hit_length_limit = c.finish == engine::FinishReason::length;
  if (!c.scores.empty()) {
    answer->reference_logprob = c.scores[0].logprob;
    answer->reference_tokens = static_cast<int>(c.scores[0].token_logprobs.size());
  }
}

}  // namespace

EngineSubject::EngineSubject(engine::Engine& engine, const engine::Tokenizer& tokenizer,
                             engine::ExpertBudget budget, bool reuse_prefix)
    : engine_(engine), tokenizer_(tokenizer), budget_(budget), reuse_prefix_(reuse_prefix) {}

size_t EngineSubject::shared_prefix(std::span<const PromptTokens> prompts) {
  const PromptTokens* first = nullptr;
  size_t n = 0, users = 0;
  for (const auto& p : prompts) {
    if (p.too_long || p.prompt.empty()) continue;
    ++users;
    if (first == nullptr) {
      first = &p;
      n = p.prompt.size();
    }
    const size_t limit = std::min(n, p.prompt.size() - 1);
    size_t same = 0;
    while (same < limit && p.prompt[same] == first->prompt[same]) ++same;
    n = same;
  }
  return users >= 2 && n >= kMinSharedTokens ? n : 0;
}

void EngineSubject::answer(std::span<const Ask> asks, Scenario scenario,
                           const ObservationSink& sink, const PrefixSink& prefix_sink,
                           const std::atomic<bool>& stop) {
  if (std::none_of(asks.begin(), asks.end(), [](const Ask& a) { return a.pending; })) return;
  const int64_t group_start_ns = steady_ns();
  std::vector<PromptTokens> prompts;
  prompts.reserve(asks.size());
  for (const Ask& a : asks) prompts.push_back(tokenise(tokenizer_, *a.query, engine_.max_tokens()));

  std::shared_ptr<const engine::Prefix> prefix;
  const size_t n_shared = reuse_prefix_ ? shared_prefix(prompts) : 0;
  if (n_shared > 0) {
    PrefixRecord record;
    const auto& source = *std::find_if(prompts.begin(), prompts.end(), [](const auto& p) {
      return !p.too_long && !p.prompt.empty();
    });
    const std::span<const engine::TokenId> tokens(source.prompt.data(), n_shared);
    const int64_t t0 = steady_ns();
    prefix = engine_.make_prefix(tokens, budget_, &record.ledger);
    record.wall_ns = steady_ns() - t0;
    record.key = prefix_key(tokens, budget_);
    record.tokens = static_cast<int64_t>(n_shared);
    record.users = std::count_if(prompts.begin(), prompts.end(),
                                 [](const auto& p) { return !p.too_long && !p.prompt.empty(); });
    prefix_sink(record);
  }

  std::vector<int64_t> scheduled(asks.size(), group_start_ns);
  const auto base_observation = [&](size_t i) {
    Observation o;
    if (asks[i].query->is_chat) o.rendered_prompt = prompts[i].text;
    o.prompt_tokens = static_cast<int64_t>(prompts[i].prompt.size());
    o.dropped_demonstrations = prompts[i].dropped_demonstrations;
    o.dropped_tokens = prompts[i].dropped_tokens;
    o.scheduled_ns = scheduled[i];
    o.budget = budget_;
    return o;
  };

  size_t next = 0;
  const auto next_request = [&]() -> std::optional<engine::Request> {
    for (; next < asks.size(); ++next) {
      const size_t i = next;
      if (!asks[i].pending) continue;
      if (scenario == Scenario::single) scheduled[i] = steady_ns();
      if (prompts[i].too_long || prompts[i].prompt.empty()) {
        Observation o = base_observation(i);
        o.answer.status = tasks::Answer::Status::too_long;
        o.detail = prompts[i].too_long ? prompts[i].detail : "the prompt has no tokens";
        sink(i, std::move(o));
        continue;
      }
      ++next;
      const tasks::Query& q = *asks[i].query;
      engine::Request r;
      r.id = i;
      r.tokens = prompts[i].prompt;
      r.prefix = prefix;
      r.budget = budget_;
      r.continuations = prompts[i].options;
      if (q.kind == tasks::Query::Kind::generate) {
        r.max_new_tokens = q.max_new_tokens;
        r.stop_tokens = tokenizer_.end_of_generation();
        r.sampling = {static_cast<float>(q.temperature), static_cast<float>(q.top_p), asks[i].seed};
        r.on_token = [this, scanner = tasks::StopScanner(q.stops)](
                         std::span<const engine::TokenId> generated) mutable {
          return !scanner.feed(tokenizer_.token_bytes(generated.back()));
        };
      }
      return r;
    }
    return std::nullopt;
  };

  const auto on_completion = [&](engine::Completion c) {
    const size_t i = c.id;
    assert(i < asks.size());
    Observation o = base_observation(i);
    fill_answer(*asks[i].query, tokenizer_, c, &o.answer);
    o.detail = c.detail;
    o.finish = c.finish;
    o.prefix_tokens = c.prefix_tokens;
    o.output_tokens = static_cast<int64_t>(c.tokens.size());
    o.timing = c.timing;
    o.budget = c.budget;
    o.ledger = c.ledger;
    sink(i, std::move(o));
  };

  if (scenario == Scenario::offline) {
    engine_.run(next_request, on_completion, stop);
    return;
  }
  bool dry = false;
  while (!dry && !stop) {
    bool given = false;
    const auto one = [&]() -> std::optional<engine::Request> {
      if (given) return std::nullopt;
      given = true;
      auto r = next_request();
      dry = !r.has_value();
      return r;
    };
    engine_.run(one, on_completion, stop);
  }
}

}  // namespace harness
