#include "harness/budget_groups.h"

#include <algorithm>
#include <cassert>

namespace harness {
namespace {

// A shorter prefix saves less than the fork's copy of its last cache block costs.
constexpr size_t kMinSharedTokens = 32;

bool runs(const PromptTokens& p) { return !p.too_long && !p.prompt.empty(); }

}  // namespace

size_t shared_prefix(const std::vector<const PromptTokens*>& prompts) {
  const PromptTokens* first = nullptr;
  size_t n = 0, users = 0;
  for (const PromptTokens* p : prompts) {
    if (!runs(*p)) continue;
    ++users;
    if (first == nullptr) {
      first = p;
      n = p->prompt.size();
    }
    const size_t limit = std::min(n, p->prompt.size() - 1);
    size_t same = 0;
    while (same < limit && p->prompt[same] == first->prompt[same]) ++same;
    n = same;
  }
  return users >= 2 && n >= kMinSharedTokens ? n : 0;
}

std::vector<BudgetGroup> budget_groups(const std::vector<PromptTokens>& prompts,
                                       const std::vector<engine::ExpertBudget>& budgets) {
  assert(prompts.size() == budgets.size());
  std::vector<BudgetGroup> groups;
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (!runs(prompts[i])) continue;
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const BudgetGroup& g) { return g.budget == budgets[i]; });
    if (group == groups.end()) group = groups.insert(group, {budgets[i], {}, 0});
    group->members.push_back(i);
  }
  for (BudgetGroup& g : groups) {
    std::vector<const PromptTokens*> members;
    for (const size_t i : g.members) members.push_back(&prompts[i]);
    g.n_shared = shared_prefix(members);
  }
  return groups;
}

}  // namespace harness
