#include "engine/running_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <stdexcept>
#include <utility>

#include "engine/prefix.h"

namespace engine {
namespace {

// Tokens of the prompt whose KV the prefix brings. The last one always runs: its logits are wanted.
int64_t reusable(const Request& request) {
  if (!request.prefix || request.prefix->budget() != request.budget) return 0;
  const auto& have = request.prefix->tokens();
  const auto& want = request.tokens;
  const auto end = std::mismatch(have.begin(), have.end(), want.begin(), want.end()).second;
  return std::min<int64_t>(end - want.begin(), static_cast<int64_t>(want.size()) - 1);
}

void check_ids(const std::vector<TokenId>& tokens, int64_t vocab, const char* what) {
  if (tokens.empty()) throw std::invalid_argument(fmt::format("request: {} has no tokens", what));
  for (const TokenId t : tokens) {
    if (t < 0 || t >= vocab) {
      throw std::invalid_argument(
          fmt::format("request: {} has token id {}, the model has {}", what, t, vocab));
    }
  }
}

}  // namespace

void check_request(const Request& request, const ModelConfig& config) {
  const int64_t vocab = config.vocab;
  check_ids(request.tokens, vocab, "the prompt");
  for (const auto& c : request.continuations) check_ids(c, vocab, "a continuation");
  request.budget.check(config.moe, config.n_layers);
}

std::optional<std::string> RunningRequest::too_long(const Request& request, int64_t max_tokens) {
  const auto prompt = static_cast<int64_t>(request.tokens.size());
  if (prompt > max_tokens) {
    return fmt::format("the prompt has {} tokens, the context holds {}", prompt, max_tokens);
  }
  for (const auto& c : request.continuations) {
    // The last token is predicted, never read.
    const int64_t needed = prompt + static_cast<int64_t>(c.size()) - 1;
    if (needed > max_tokens) {
      return fmt::format("the prompt and a continuation need {} positions, the context holds {}",
                         needed, max_tokens);
    }
  }
  return std::nullopt;
}

RunningRequest::RunningRequest(Request request, const RequestContext& context, int64_t now_ns)
    : request_(std::move(request)), context_(context), kv_(context.kv_pool) {
  completion_.id = request_.id;
  completion_.budget = request_.budget;
  completion_.prompt_tokens = prompt_tokens();
  completion_.timing.admitted_ns = now_ns;
  completion_.trace = RoutingTrace(context.config.n_layers, context.config.moe.n_experts);
  completion_.ledger.add(Part::predictor, request_.policy_cost);
  if (const int64_t n = reusable(request_); n > 0) {
    kv_ = request_.prefix->kv().fork(n);
    prompt_next_ = n;
    completion_.prefix_tokens = n;
    context_.cost.add_rows(completion_.ledger, CostModel::Book::useful, 0, n, request_.budget);
    completion_.trace.add(request_.prefix->routing(), n);
    context_.cost.add_calls(completion_.ledger, CostModel::Book::useful,
                            completion_.trace.calls(context_.config.moe.n_shared));
    for (int64_t i = 0; i < n; ++i) note_fault(request_.prefix->routing().faults[i], i);
  }
  continuations_.resize(request_.continuations.size());
  for (size_t i = 0; i < continuations_.size(); ++i) {
    continuations_[i].logprobs.resize(request_.continuations[i].size());
    open_scores_ += static_cast<int64_t>(request_.continuations[i].size());
  }
}

// Scores beside a generated answer only measure it: they are no part of what the query costs.
CostModel::Book RunningRequest::book_of_scores() const {
  return request_.max_new_tokens > 0 ? CostModel::Book::executed : CostModel::Book::both;
}

void RunningRequest::add_head_row(std::vector<HeadRow>& heads, int32_t row, int32_t continuation,
                                  int64_t index) {
  heads.push_back({.owner = this, .row = row, .continuation = continuation, .index = index});
  context_.cost.add_head(completion_.ledger,
                         continuation < 0 ? CostModel::Book::both : book_of_scores(), 1);
}

void RunningRequest::add_decode_row(RaggedBatch& batch, std::vector<HeadRow>& heads) {
  if (!generating_) return;
  const int64_t position = kv_.size();
  const int32_t row = batch.add(kv_, last_token_, position, request_.budget);
  context_.cost.add_rows(completion_.ledger, CostModel::Book::both, position, position + 1,
                         request_.budget);
  spans_.push_back({row, 1, position, CostModel::Book::both});
  add_head_row(heads, row, -1, 0);
  decoded_in_step_ = true;
}

void RunningRequest::add_prompt_rows(RaggedBatch& batch, std::vector<HeadRow>& heads) {
  const int64_t first = prompt_next_;
  int32_t row = 0;
  while (!prompt_done() && batch.room() > 0) {
    row = batch.add(kv_, request_.tokens[prompt_next_], prompt_next_, request_.budget);
    ++prompt_next_;
  }
  if (prompt_next_ == first) return;
  const int64_t n = prompt_next_ - first;
  spans_.push_back({row + 1 - n, n, first, CostModel::Book::both});
  context_.cost.add_rows(completion_.ledger, CostModel::Book::both, first, prompt_next_,
                         request_.budget);
  const bool wants_head =
      request_.want_logits || request_.max_new_tokens > 0 || !continuations_.empty();
  if (prompt_done() && wants_head) add_head_row(heads, row, -1, 0);
}

void RunningRequest::add_continuation_rows(int32_t i, RaggedBatch& batch,
                                           std::vector<HeadRow>& heads) {
  Continuation& c = continuations_[i];
  const auto& tokens = request_.continuations[i];
  const auto rows = static_cast<int64_t>(tokens.size()) - 1;  // the last token is not read
  if (c.next == rows || batch.room() == 0) return;
  if (!c.kv) c.kv = kv_.fork(prompt_tokens());
  const int64_t first = prompt_tokens() + c.next, first_row = batch.size();
  for (; c.next < rows && batch.room() > 0; ++c.next) {
    const int32_t row = batch.add(*c.kv, tokens[c.next], prompt_tokens() + c.next, request_.budget);
    add_head_row(heads, row, i, c.next);
  }
  spans_.push_back({first_row, batch.size() - first_row, first, book_of_scores()});
  context_.cost.add_rows(completion_.ledger, book_of_scores(), first, prompt_tokens() + c.next,
                         request_.budget);
}

void RunningRequest::add_prefill_rows(RaggedBatch& batch, std::vector<HeadRow>& heads) {
  if (!prompt_done()) return add_prompt_rows(batch, heads);
  for (int32_t i = 0; i < static_cast<int32_t>(continuations_.size()); ++i) {
    add_continuation_rows(i, batch, heads);
  }
}

void RunningRequest::note_fault(const RouterFault& fault, int64_t position) {
  if (!fault || !fault_.empty()) return;
  fault_ = fmt::format("router scores of layer {} are not finite at position {}{}", fault.layer,
                       position, fault.input ? "; neither is what the router reads there" : "");
}

void RunningRequest::check_routing(const StepRouting& routing) {
  for (const Span& s : spans_) {
    for (int64_t i = 0; i < s.rows; ++i) {
      note_fault(routing.faults()[s.first + i], s.position + i);
    }
  }
}

void RunningRequest::ask(const HeadRow& head, HeadAsks& asks) const {
  const bool of_prompt = head.continuation < 0 && !generating_;
  uint8_t wants = 0;
  std::vector<TokenId> tokens;
  if (head.continuation >= 0) {
    tokens = {request_.continuations[head.continuation][head.index + 1]};
  } else if (of_prompt) {
    for (const auto& c : request_.continuations) tokens.push_back(c.front());
  }
  if (!tokens.empty()) wants |= kWantArgmax | kWantNormaliser;
  if (head.continuation < 0) {
    if (of_prompt && request_.want_logits) wants |= kWantLogits;
    if (takes_a_stream()) wants |= request_.sampling.temperature > 0 ? kWantLogits : kWantArgmax;
  }
  asks.add(head.row, wants, tokens);
}

void RunningRequest::read_head(HeadRow& head, const HeadView& view, SamplerScratch& scratch) {
  head.finite = view.finite;
  if (!head.finite) return;
  head.best = view.argmax;
  const bool of_prompt = head.continuation < 0 && !generating_;
  const auto score = [&](size_t i, int64_t token, float logit) {
    continuations_[i].logprobs[token] = static_cast<double>(logit) - view.log_sum_exp;
  };
  if (head.continuation >= 0) return score(head.continuation, head.index + 1, view.asked[0]);
  if (of_prompt) {
    for (size_t i = 0; i < continuations_.size(); ++i) score(i, 0, view.asked[i]);
    if (request_.want_logits) {
      completion_.logits.assign(view.logits, view.logits + context_.config.vocab);
    }
  }
  if (!takes_a_stream()) return;
  head.next = request_.sampling.temperature > 0
                  ? sample(view.logits, context_.config.vocab, request_.sampling,
                           completion_.tokens.size(), scratch)
                  : view.argmax;
}

void RunningRequest::book_score(int32_t continuation, int64_t index, TokenId best, int64_t now_ns) {
  if (request_.continuations[continuation][index] != best) {
    continuations_[continuation].greedy = false;
  }
  if (--open_scores_ == 0 && !takes_a_stream()) completion_.timing.first_ns = now_ns;
}

void RunningRequest::accept_token(TokenId token, int64_t now_ns) {
  Timing& timing = completion_.timing;
  if (last_token_ns_ == 0) {
    timing.first_ns = now_ns;
  } else {
    timing.longest_gap_ns = std::max(timing.longest_gap_ns, now_ns - last_token_ns_);
  }
  last_token_ns_ = now_ns;
  last_token_ = token;
  const auto& stops = request_.stop_tokens;
  auto& tokens = completion_.tokens;
  if (std::find(stops.begin(), stops.end(), token) != stops.end()) {
    completion_.finish = FinishReason::stop_token;
  } else {
    if (tokens.empty()) {  // at once what it can come to
      tokens.reserve(static_cast<size_t>(
          std::min<int64_t>(request_.max_new_tokens, context_.max_tokens - prompt_tokens() + 1)));
    }
    tokens.push_back(token);
    const auto n = static_cast<int64_t>(tokens.size());
    if (request_.on_token && !request_.on_token(tokens)) {
      completion_.finish = FinishReason::stopped;
    } else if (n == request_.max_new_tokens || prompt_tokens() + n > context_.max_tokens) {
      completion_.finish = FinishReason::length;
    }
  }
  generating_ = completion_.finish == FinishReason::none;
}

void RunningRequest::advance(const HeadRow& head, int64_t now_ns) {
  if (completion_.outcome != Outcome::ok || !fault_.empty()) return;
  if (!head.finite) {
    const int64_t position = head.continuation < 0 ? kv_.size() - 1 : prompt_tokens() + head.index;
    return fail(Outcome::not_finite,
                fmt::format("logits after position {} are not finite", position));
  }
  if (head.continuation >= 0)
    return book_score(head.continuation, head.index + 1, head.best, now_ns);
  if (!generating_) {
    for (int32_t i = 0; i < static_cast<int32_t>(continuations_.size()); ++i) {
      book_score(i, 0, head.best, now_ns);
    }
  }
  if (takes_a_stream()) accept_token(head.next, now_ns);
}

void RunningRequest::end_step(const StepFacts& step, const StepRouting& routing) {
  if (spans_.empty()) return;
  Timing& timing = completion_.timing;
  (decoded_in_step_ ? timing.decode_ns : timing.prefill_ns) += step.end_ns - step.begin_ns;
  ++n_steps_;
  batch_rows_ += step.rows;
  batch_experts_ += step.distinct_experts;
  completion_.batch_k_max = std::max(completion_.batch_k_max, step.k_max);
  for (const Span& s : spans_) {
    context_.cost.add_calls(completion_.ledger, s.book,
                            calls_of(routing, s.first, s.rows, context_.config.moe.n_shared));
    // Token after token into the one trace: sums of margins do not depend on the cut into steps.
    if (s.book == CostModel::Book::both) completion_.trace.add(routing, s.first, s.rows);
  }
  spans_.clear();
  decoded_in_step_ = false;
  const bool running = completion_.outcome == Outcome::ok;
  if (running && prompt_done() && !fault_.empty()) fail(Outcome::not_finite, fault_);
}

bool RunningRequest::done() const {
  if (completion_.outcome != Outcome::ok) return true;
  return prompt_done() && open_scores_ == 0 && !generating_;
}

void RunningRequest::fail(Outcome outcome, std::string detail) {
  completion_.outcome = outcome;
  completion_.detail = std::move(detail);
  generating_ = false;
}

void RunningRequest::cancel() { fail(Outcome::cancelled, "the run was stopped"); }

Completion RunningRequest::take(int64_t now_ns) {
  completion_.timing.last_ns = now_ns;
  if (n_steps_ > 0) {
    completion_.timing.mean_batch_rows =
        static_cast<double>(batch_rows_) / static_cast<double>(n_steps_);
    completion_.mean_batch_experts = batch_experts_ / static_cast<double>(n_steps_);
  }
  completion_.weight_bytes = context_.bytes_used(completion_.trace);
  if (completion_.outcome == Outcome::ok) {
    for (const Continuation& c : continuations_) {
      ContinuationScore score;
      score.greedy = c.greedy;
      for (const double p : c.logprobs) {
        score.logprob += p;
        score.token_logprobs.push_back(static_cast<float>(p));
      }
      completion_.scores.push_back(std::move(score));
    }
  }
  return std::move(completion_);
}

}  // namespace engine
