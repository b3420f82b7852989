#include "harness/gadget_search.h"

#include <algorithm>
#include <random>

#include "harness/exit_code.h"

namespace harness {
namespace {

using engine::TokenId;

bool is_typable(const std::string& bytes) {
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  const auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return std::all_of(bytes.begin(), bytes.end(), printable) &&
         std::any_of(bytes.begin(), bytes.end(), word);
}

std::string text_of(const engine::Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId t : tokens) text += tokenizer.token_bytes(t);
  text.erase(0, text.find_first_not_of(' '));
  return text;
}

}  // namespace

std::vector<TokenId> typable_tokens(const engine::Tokenizer& tokenizer) {
  std::vector<TokenId> out;
  for (int64_t t = 0; t < tokenizer.vocab_size(); ++t) {
    const auto id = static_cast<TokenId>(t);
    // Control tokens decode to nothing, others to their bytes.
    if (is_typable(tokenizer.token_bytes(id)) && !tokenizer.decode({&id, 1}).empty())
      out.push_back(id);
  }
  return out;
}

Effect effect_of(const engine::ExpertPolicy& policy, const engine::Tokenizer& tokenizer,
                 std::string_view text, const std::vector<std::string>& questions) {
  Effect out;
  for (const std::string& q : questions) {
    std::string whole;
    if (!text.empty()) whole.append(text).append(tasks::kGadgetGap);
    whole += q;
    const auto tokens = tokenizer.encode(whole, false, false);
    const auto d = policy.decide({.key = whole, .question = whole, .question_tokens = tokens});
    out.k += d.budget.k;
    out.complexity += d.complexity.value_or(d.budget.k);
  }
  const auto n = static_cast<double>(std::max<size_t>(questions.size(), 1));
  return {out.k / n, out.complexity / n};
}

Gadget find_gadget(const engine::ExpertPolicy& policy, const engine::Tokenizer& tokenizer, bool up,
                   int n_tokens, const std::vector<std::string>& questions,
                   const std::vector<std::string>& others, const GadgetSearch& search,
                   const std::function<void()>& tried) {
  const auto vocabulary = typable_tokens(tokenizer);
  if (vocabulary.empty())
    throw UsageError("the model's tokenizer has no token of printable ASCII to search among");
  std::mt19937_64 random(search.seed * 1000 + static_cast<uint64_t>(2 * n_tokens + up));
  const auto draw = [&] { return vocabulary[random() % vocabulary.size()]; };
  const auto value = [&](const std::vector<TokenId>& tokens) {
    const auto e = effect_of(policy, tokenizer, text_of(tokenizer, tokens), questions);
    return up ? e.k + e.complexity : -e.k - e.complexity;
  };
  std::vector<TokenId> best(static_cast<size_t>(n_tokens));
  for (TokenId& t : best) t = draw();
  double reached = value(best);
  for (int round = 0; round < search.rounds; ++round)
    for (size_t place = 0; place < best.size(); ++place) {
      std::vector<TokenId> now = best;
      for (int c = 0; c < search.candidates; ++c) {
        now[place] = draw();
        const double v = value(now);
        if (v <= reached) continue;
        reached = v;
        best = now;
      }
      tried();
    }
  Gadget g;
  g.text = text_of(tokenizer, best);
  g.tokens = static_cast<int64_t>(tokenizer.encode(g.text, false, false).size());
  g.k_before = effect_of(policy, tokenizer, "", questions).k;
  g.k_after = effect_of(policy, tokenizer, g.text, questions).k;
  g.other_k_before = effect_of(policy, tokenizer, "", others).k;
  g.other_k_after = effect_of(policy, tokenizer, g.text, others).k;
  return g;
}

}  // namespace harness
