#include "harness/engine_subject.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <string>

#include "datasets/sha256.h"
#include "harness/budget_groups.h"
#include "harness/clock.h"
#include "harness/question.h"
#include "tasks/stops.h"

namespace harness {
namespace {

std::string prefix_key(std::span<const engine::TokenId> tokens,
                       const engine::ExpertBudget& budget) {
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
                             bool reuse_prefix)
    : engine_(engine), tokenizer_(tokenizer), reuse_prefix_(reuse_prefix) {}

void EngineSubject::answer(std::span<const Ask> asks, Scenario scenario,
                           const ObservationSink& sink, const PrefixSink& prefix_sink,
                           const std::atomic<bool>& stop) {
  if (std::none_of(asks.begin(), asks.end(), [](const Ask& a) { return a.pending; })) return;
  const int64_t group_start_ns = steady_ns();
  std::vector<PromptTokens> prompts;
  std::vector<Question> questions;
  for (const Ask& a : asks) {
    prompts.push_back(tokenise(tokenizer_, *a.query, engine_.max_tokens()));
    questions.emplace_back(a.key, *a.query, tokenizer_);
  }

  struct Decided {
    engine::Decision decision;
    int64_t wall_ns = 0, at_ns = 0;
  };
  std::vector<Decided> decided(asks.size());
  const auto decide = [&](size_t i) {
    Decided& d = decided[i];
    const int64_t t0 = steady_ns();
    if (asks[i].policy != nullptr) {
      d.decision = asks[i].policy->decide(
          questions[i].features(static_cast<int64_t>(prompts[i].prompt.size())));
    } else {
      d.decision.budget = engine_.trained_budget();
    }
    d.at_ns = steady_ns();
    d.wall_ns = d.at_ns - t0;
  };
  std::vector<engine::ExpertBudget> budgets;
  for (size_t i = 0; i < asks.size(); ++i) {
    decide(i);
    budgets.push_back(decided[i].decision.budget);
  }

  struct Shared {
    std::shared_ptr<const engine::Prefix> prefix;
    std::string key;
  };
  std::vector<Shared> shared(asks.size());
  if (reuse_prefix_) {
    for (const BudgetGroup& g : budget_groups(prompts, budgets)) {
      const bool pending = std::any_of(g.members.begin(), g.members.end(),
                                       [&](size_t i) { return asks[i].pending; });
      if (g.n_shared == 0 || !pending || stop) continue;
      const auto tokens =
          std::span<const engine::TokenId>(prompts[g.members[0]].prompt).first(g.n_shared);
      PrefixRecord record;
      const int64_t t0 = steady_ns();
      const auto prefix = engine_.make_prefix(tokens, g.budget, &record.ledger);
      record.wall_ns = steady_ns() - t0;
      record.key = prefix_key(tokens, g.budget);
      record.budget = g.budget.key();
      record.tokens = static_cast<int64_t>(g.n_shared);
      for (const size_t i : g.members) shared[i] = {prefix, record.key};
      prefix_sink(record);
    }
  }

  std::vector<int64_t> scheduled(asks.size(), group_start_ns);
  const auto base_observation = [&](size_t i) {
    Observation o;
    if (asks[i].query->is_chat) o.rendered_prompt = prompts[i].text;
    o.prompt_tokens = static_cast<int64_t>(prompts[i].prompt.size());
    o.dropped_demonstrations = prompts[i].dropped_demonstrations;
    o.dropped_tokens = prompts[i].dropped_tokens;
    o.scheduled_ns = scheduled[i];
    o.predict_ns = decided[i].wall_ns;
    o.decision = decided[i].decision;
    return o;
  };

  size_t next = 0;
  const auto next_request = [&]() -> std::optional<engine::Request> {
    for (; next < asks.size(); ++next) {
      const size_t i = next;
      if (!asks[i].pending) continue;
      if (scenario == Scenario::single) {
        scheduled[i] = steady_ns();
        decide(i);  // the same decision again, inside the query's own time
      }
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
      r.prefix = shared[i].prefix;
      r.budget = decided[i].decision.budget;
      r.policy_cost = decided[i].decision.own_cost;
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
    if (c.prefix_tokens > 0) o.prefix_key = shared[i].key;
    o.output_tokens = static_cast<int64_t>(c.tokens.size());
    o.timing = c.timing;
    o.timing.predicted_ns = decided[i].at_ns;
    o.trace = std::move(c.trace);
    o.batch_experts = c.mean_batch_experts;
    o.batch_k_max = c.batch_k_max;
    o.weight_bytes = c.weight_bytes;
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
