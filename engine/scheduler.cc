#include "engine/scheduler.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <string>
#include <utility>

namespace engine {
namespace {

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Completion never_run(const Request& request, Outcome outcome, std::string detail) {
  Completion c;
  c.id = request.id;
  c.outcome = outcome;
  c.detail = std::move(detail);
  c.prompt_tokens = static_cast<int64_t>(request.tokens.size());
  c.budget = request.budget;
  return c;
}

}  // namespace

Scheduler::Scheduler(Forward& forward, const RequestContext& context, int64_t max_rows,
                     int32_t max_streams, int threads)
    : forward_(forward),
      context_(context),
      max_streams_(max_streams),
      batch_(max_rows),
      scratch_(threads) {
  assert(max_rows >= max_streams && max_streams > 0);
}

int32_t Scheduler::streams() const {
  return static_cast<int32_t>(std::count_if(running_.begin(), running_.end(),
                                            [](const auto& r) { return r->takes_a_stream(); }));
}

void Scheduler::admit(const RequestSource& source, const CompletionSink& sink) {
  while (batch_.room() > 0) {
    if (!pulled_) pulled_ = source();
    if (!pulled_) return;
    check_request(*pulled_, context_.config);
    if (auto why = RunningRequest::too_long(*pulled_, context_.max_tokens)) {
      sink(never_run(*std::exchange(pulled_, std::nullopt), Outcome::too_long, std::move(*why)));
      continue;
    }
    if (pulled_->max_new_tokens > 0 && streams() >= max_streams_) return;
    running_.push_back(std::make_unique<RunningRequest>(*std::exchange(pulled_, std::nullopt),
                                                        context_, now_ns()));
    running_.back()->add_prefill_rows(batch_, heads_);
  }
}

void Scheduler::step() {
  const int64_t begin = now_ns();
  asks_.clear();
  for (const HeadRow& h : heads_) h.owner->ask(h, asks_);
  forward_.run(batch_, asks_);
  for (const auto& r : running_) r->check_routing(forward_.routing());
  forward_.read_heads([&](int64_t i, const HeadView& view, int thread) {
    heads_[i].owner->read_head(heads_[i], view, scratch_[thread]);
  });
  const int64_t end = now_ns();
  for (const HeadRow& h : heads_) h.owner->advance(h, end);
  const StepRouting& routing = forward_.routing();
  const StepFacts facts{begin, end, batch_.size(), routing.distinct_experts(), routing.k_max()};
  for (const auto& r : running_) r->end_step(facts, routing);
}

void Scheduler::deliver(const CompletionSink& sink) {
  std::vector<std::unique_ptr<RunningRequest>> done;
  for (auto& r : running_) {
    if (r->done()) done.push_back(std::move(r));
  }
  std::erase(running_, nullptr);
  for (const auto& r : done) sink(r->take(now_ns()));
}

void Scheduler::cancel_all(const CompletionSink& sink) {
  for (const auto& r : std::exchange(running_, {})) {
    r->cancel();
    sink(r->take(now_ns()));
  }
  if (pulled_) {
    sink(never_run(*std::exchange(pulled_, std::nullopt), Outcome::cancelled,
                   "the run was stopped"));
  }
}

void Scheduler::run(const RequestSource& source, const CompletionSink& sink,
                    const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
    batch_.clear();
    heads_.clear();
    for (const auto& r : running_) r->add_decode_row(batch_, heads_);
    for (const auto& r : running_) r->add_prefill_rows(batch_, heads_);
    admit(source, sink);
    if (batch_.size() == 0) return;
    step();
    deliver(sink);
  }
  cancel_all(sink);
}

}  // namespace engine
