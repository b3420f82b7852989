// Owns what a policy sees of a query: the question's span, apart from demonstrations and template.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/policy/expert_policy.h"
#include "engine/tokenizer.h"
#include "tasks/query.h"

namespace harness {

struct Question {
  std::string key, text;
  std::vector<engine::TokenId> tokens;
  int64_t max_new_tokens = 0;

  Question(std::string key, const tasks::Query&, const engine::Tokenizer&);
  engine::QueryFeatures features(int64_t prompt_tokens) const;  // points into this
};

}  // namespace harness
