// Owns the sharing of prefixes: which asks of a group run the same budget, and how many tokens they
// all begin with.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/expert_budget.h"
#include "harness/prompt_tokens.h"

namespace harness {

struct BudgetGroup {
  engine::ExpertBudget budget;
  std::vector<size_t> members;  // indices of the asks that will run, in order
  size_t n_shared = 0;          // tokens that all of them begin with; 0: not worth sharing
};

// Groups in the order of their first member. Prompts that do not fit belong to none. A function of
// all asks, so that a resumed run shares the same.
std::vector<BudgetGroup> budget_groups(const std::vector<PromptTokens>&,
                                       const std::vector<engine::ExpertBudget>&);

// Tokens that all these prompts begin with and that are worth sharing; 0 when none are. At least
// one prompt token always stays outside, for the logits of the last row.
size_t shared_prefix(const std::vector<const PromptTokens*>&);

}  // namespace harness
