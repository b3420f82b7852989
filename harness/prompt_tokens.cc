#include "harness/prompt_tokens.h"

#include <fmt/format.h>

#include <algorithm>

namespace harness {
namespace {

using engine::TokenId;

std::string chat_text(const engine::Tokenizer& tokenizer, const tasks::Query& q) {
  std::vector<engine::ChatTurn> turns;
  for (const auto& t : q.turns) turns.push_back({t.role, t.content});
  return tokenizer.render_chat(turns, true) + q.prefill;
}

std::string plain_text(const tasks::Query& q, size_t n_demonstrations) {
  std::string text = q.header;
  for (size_t i = 0; i < n_demonstrations; ++i) text += q.demonstrations[i];
  return text + q.item;
}

// The reference after the prompt as it stands: the tail of their joint tokens where the prompt's
// own are a prefix of them, else the reference by itself (a prompt's last line end may merge with
// the reference's indentation). Either way the bytes of prompt and reference are those that were
// given.
std::vector<TokenId> reference_tokens(const engine::Tokenizer& tokenizer, const std::string& prompt,
                                      const std::vector<TokenId>& prompt_tokens,
                                      const std::string& reference, bool bos, bool special) {
  const auto whole = tokenizer.encode(prompt + reference, bos, special);
  if (whole.size() > prompt_tokens.size() &&
      std::equal(prompt_tokens.begin(), prompt_tokens.end(), whole.begin()))
    return {whole.begin() + static_cast<std::ptrdiff_t>(prompt_tokens.size()), whole.end()};
  return tokenizer.encode(reference, false, special);
}

// Tokens that the answer needs after the prompt. Scoring the last option token needs no position of
// its own.
int64_t answer_room(const tasks::Query& q, const PromptTokens& p) {
  int64_t room = q.max_new_tokens > 0 ? 1 : 0;
  if (q.kind == tasks::Query::Kind::generate) return room;
  for (const auto& o : p.options)
    room = std::max<int64_t>(room, static_cast<int64_t>(o.size()) - 1);
  return room;
}

}  // namespace

PromptTokens tokenise(const engine::Tokenizer& tokenizer, const tasks::Query& q, int64_t context) {
  PromptTokens out;
  size_t demonstrations = q.demonstrations.size();
  const bool special = q.is_chat;  // a rendered template names its special tokens
  const bool bos = q.is_chat ? false : tokenizer.adds_bos();

  const auto encode_all = [&] {
    out.text = q.is_chat ? chat_text(tokenizer, q) : plain_text(q, demonstrations);
    out.options.clear();
    std::string context_text = out.text, moved;
    if (q.kind == tasks::Query::Kind::choose)
      while (!context_text.empty() && context_text.back() == ' ') {
        moved += ' ';
        context_text.pop_back();
      }
    out.prompt = tokenizer.encode(context_text, bos, special);
    for (const auto& option : q.options) {
      auto whole = tokenizer.encode(context_text + moved + option, bos, special);
      const auto cut = std::min(out.prompt.size(), whole.size());
      out.options.emplace_back(whole.begin() + static_cast<std::ptrdiff_t>(cut), whole.end());
    }
    if (q.kind == tasks::Query::Kind::generate && !q.reference.empty())
      out.options.push_back(
          reference_tokens(tokenizer, context_text, out.prompt, q.reference, bos, special));
  };

  encode_all();
  const auto limit_for = [&] {
    int64_t limit = context - answer_room(q, out);
    if (q.max_prompt_tokens > 0) limit = std::min<int64_t>(limit, q.max_prompt_tokens);
    return limit;
  };
  const auto length = [&] { return static_cast<int64_t>(out.prompt.size()); };

  if (q.truncation == tasks::Truncation::drop_demonstrations_from_end && !q.is_chat)
    while (length() > limit_for() && demonstrations > 0) {
      --demonstrations;
      encode_all();
    }
  // A reference only measures: where it does not fit its NLL is not measured, the query is asked.
  if (q.kind == tasks::Query::Kind::generate && !out.options.empty() &&
      (out.options[0].empty() ||
       length() + static_cast<int64_t>(out.options[0].size()) - 1 > context))
    out.options.clear();
  out.dropped_demonstrations = static_cast<int64_t>(q.demonstrations.size() - demonstrations);
  const int64_t limit = limit_for();
  if (length() > limit && q.truncation == tasks::Truncation::left_tokens && limit > 0) {
    out.dropped_tokens = length() - limit;
    out.prompt.erase(out.prompt.begin(),
                     out.prompt.begin() + static_cast<std::ptrdiff_t>(out.dropped_tokens));
  }
  if (length() > limit) {
    out.too_long = true;
    out.detail =
        fmt::format("prompt has {} tokens, room for {}", length(), std::max<int64_t>(limit, 0));
  } else if (std::any_of(out.options.begin(), out.options.end(),
                         [](const auto& o) { return o.empty(); })) {
    out.too_long = true;
    out.detail = "an option has no tokens of its own after the prompt";
  }
  return out;
}

}  // namespace harness
