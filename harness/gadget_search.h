// Owns the search for gadgets: token sequences that, put before any question, make a predictor ask
// for more compute, or for less. White-box: every candidate is put to the predictor itself
// (research note adaptive-moe.md, section 5.2; confounder gadgets, Shafran et al. 2025).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/policy/expert_policy.h"
#include "engine/tokenizer.h"
#include "harness/gadget.h"

namespace harness {

struct GadgetSearch {
  int candidates = 24;  // tokens tried at each place
  int rounds = 2;       // over all places
  uint64_t seed = 0;
};

// Tokens that a person could type: printable ASCII, no line end, at least one letter or digit.
std::vector<engine::TokenId> typable_tokens(const engine::Tokenizer&);

// What the policy gives questions behind a text: mean k and mean complexity. Empty text: nothing is
// put before them. The question's tokens are those of text, gap and question together, as in a run.
struct Effect {
  double k = 0, complexity = 0;
};
Effect effect_of(const engine::ExpertPolicy&, const engine::Tokenizer&, std::string_view text,
                 const std::vector<std::string>& questions);

// Hill climbing from random tokens: place by place, each of the candidates is tried, and the best
// one stays if it moves mean k + mean complexity further than what is there. up: towards more. The
// effect only grows over the search, but may stay below that of no text at all.
// tried is called after every place. Throws UsageError when the tokenizer has no typable token.
Gadget find_gadget(const engine::ExpertPolicy&, const engine::Tokenizer&, bool up, int n_tokens,
                   const std::vector<std::string>& questions,
                   const std::vector<std::string>& others, const GadgetSearch&,
                   const std::function<void()>& tried);

}  // namespace harness
