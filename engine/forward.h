// Owns the contract of the forward pass: all layers over a ragged batch of rows, and the head for
// those whose logits are wanted.
#pragma once

#include "engine/compute_ledger.h"
#include "engine/head.h"
#include "engine/ragged_batch.h"
#include "engine/routing_trace.h"

namespace engine {

class Forward {
 public:
  virtual ~Forward() = default;

  // Runs all layers. The routing of the rows stays here until the next call; so does what
  // read_heads() needs of asks, which must outlive it.
  virtual void run(RaggedBatch&, const HeadAsks& asks) = 0;

  // What the last run was asked of the head.
  virtual void read_heads(const HeadConsumer&) = 0;

  virtual const StepRouting& routing() const = 0;

  // What the ops of all calls say they did.
  virtual const ComputeLedger& launched() const = 0;
};

}  // namespace engine
