// Owns continuous batching: which rows run in the next step.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/engine.h"
#include "engine/forward.h"
#include "engine/running_request.h"

namespace engine {

// A step is one row of every generating request, then rows of prompts and continuations in order of
// admission, then of newly pulled requests, until the batch is full. Results do not depend on any
// of it: every op treats rows independently.
class Scheduler {
 public:
  // max_rows >= max_streams, so that every generating request moves in every step.
  Scheduler(Forward&, const RequestContext&, int64_t max_rows, int32_t max_streams, int threads);

  // As Engine::run.
  void run(const RequestSource&, const CompletionSink&, const std::atomic<bool>& stop);

 private:
  void admit(const RequestSource&, const CompletionSink&);
  void step();
  void deliver(const CompletionSink&);
  void cancel_all(const CompletionSink&);
  int32_t streams() const;

  Forward& forward_;
  const RequestContext& context_;
  const int32_t max_streams_;
  RaggedBatch batch_;
  std::vector<HeadRow> heads_;
  HeadAsks asks_;
  std::vector<SamplerScratch> scratch_;  // of each thread
  std::vector<std::unique_ptr<RunningRequest>> running_;
  std::optional<Request> pulled_;  // waits for a stream
};

}  // namespace engine
