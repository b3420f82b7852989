// Owns Prefix: keys and values of a token prefix, computed once and shared by its users.
#pragma once

#include <utility>
#include <vector>

#include "engine/expert_budget.h"
#include "engine/kv_cache.h"
#include "engine/request.h"
#include "engine/routing_trace.h"

namespace engine {

// Immutable. A request may use it when its own tokens begin with `tokens` and its budget is the one
// that computed it.
class Prefix {
 public:
  Prefix(std::vector<TokenId> tokens, ExpertBudget budget, KvSequence kv, TokenRouting routing)
      : tokens_(std::move(tokens)),
        budget_(std::move(budget)),
        kv_(std::move(kv)),
        routing_(std::move(routing)) {}

  const std::vector<TokenId>& tokens() const { return tokens_; }
  const ExpertBudget& budget() const { return budget_; }
  const KvSequence& kv() const { return kv_; }
  const TokenRouting& routing() const { return routing_; }

 private:
  const std::vector<TokenId> tokens_;
  const ExpertBudget budget_;
  const KvSequence kv_;
  const TokenRouting routing_;
};

}  // namespace engine
