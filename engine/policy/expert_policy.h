// Owns ExpertPolicy: decides once per query, before prefill, how many experts it may run.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/expert_budget.h"
#include "engine/tokenizer.h"
#include "kernels/cost.h"

namespace engine {

// What a policy may look at: the question's span, never demonstrations or template.
struct QueryFeatures {
  std::string_view key;                      // opaque name of the query, for tables
  std::string_view question;                 // bytes of the question's span
  std::span<const TokenId> question_tokens;  // its tokens
  int64_t prompt_tokens = 0;                 // of the whole prompt; for the latency cap only
  int64_t max_new_tokens = 0;                // for the latency cap only
};

struct Decision {
  ExpertBudget budget;
  std::optional<double> complexity;                        // the predictor's estimate
  std::vector<std::pair<int32_t, double>> p_correct_by_k;  // P(right | k); empty: not estimated
  kernels::Cost own_cost;                                  // of deciding; charged to the query
  bool capped = false;                // a cap lowered k, or it did not fit at 1
  std::optional<int32_t> k_uncapped;  // what it would have been
  // Of a policy with a fallback: how unlike its training the query is, whether that is too much,
  // and the k that it would have had without the fallback.
  std::optional<double> ood_score;
  bool ood_flagged = false;
  std::optional<int32_t> k_without_fallback;
};

// A function of the query alone: no clock, no state. decide() may be called from any thread.
class ExpertPolicy {
 public:
  virtual ~ExpertPolicy() = default;
  virtual std::string_view kind() const = 0;  // fixed, trained, top_p, entropy, predictor, table
  virtual std::string label() const = 0;      // what the user typed: "fixed:4"
  virtual std::string config_json()
      const = 0;  // everything that decides; hashed into the fingerprint
  // How it came about, as a JSON object, or empty. Decides nothing; audits read it.
  virtual std::string origin_json() const { return {}; }
  // Throws PolicyError when the query is none that it knows (a table without its key).
  virtual Decision decide(const QueryFeatures&) const = 0;
};

}  // namespace engine
