// Owns the step from a Query's text to token ids: chat rendering, truncation, options.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/tokenizer.h"
#include "tasks/query.h"

namespace harness {

struct PromptTokens {
  std::string text;  // what was tokenised, after truncation by demonstrations
  std::vector<engine::TokenId> prompt;
  std::vector<std::vector<engine::TokenId>> options;  // or the reference solution, alone
  int64_t dropped_demonstrations = 0;
  int64_t dropped_tokens = 0;
  bool too_long = false;  // does not fit and the rule cuts no further
  std::string detail;     // both numbers, when too long
};

// context: tokens that the model can hold; room for the answer is kept free.
// Options are tokenised together with the prompt and split at the prompt's own length (lm-eval's
// rule), after trailing spaces of the prompt moved into the option.
// Throws std::invalid_argument when a chat query meets a model without a known template.
PromptTokens tokenise(const engine::Tokenizer&, const tasks::Query&, int64_t context);

}  // namespace harness
