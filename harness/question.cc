#include "harness/question.h"

namespace harness {

Question::Question(std::string name, const tasks::Query& q, const engine::Tokenizer& tokenizer)
    : key(std::move(name)) {
  const std::string_view whole = q.is_chat && !q.turns.empty()
                                     ? std::string_view(q.turns.back().content)
                                     : std::string_view(q.item);
  const auto [first, second] = q.question;
  if (first <= second && second <= whole.size()) text = whole.substr(first, second - first);
  tokens = tokenizer.encode(text, false, false);
  if (q.kind == tasks::Query::Kind::generate) max_new_tokens = q.max_new_tokens;
}

engine::QueryFeatures Question::features(int64_t prompt_tokens) const {
  return {.key = key,
          .question = text,
          .question_tokens = tokens,
          .prompt_tokens = prompt_tokens,
          .max_new_tokens = max_new_tokens};
}

}  // namespace harness
