// Owns Query and Answer: one thing asked, and what came back, as text. No tokens here.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tasks {

struct Turn {
  std::string role;  // system, user, assistant
  std::string content;
};

// What to do when the prompt has too many tokens for the task's or the model's limit.
enum class Truncation {
  drop_demonstrations_from_end,  // original MMLU; an item too long with none left is too_long
  left_tokens,                   // lm-eval: cut from the left
  fail                           // the query is too_long: a row, and wrong
};

struct Query {
  enum class Kind { choose, generate };
  Kind kind = Kind::choose;
  std::string sample_id;

  // Plain prompt = header + demonstrations... + item. For chat tasks (is_chat) the prompt is
  // rendered from `turns` by the model's template, then `prefill` opens the assistant's turn.
  std::string header;
  std::vector<std::string> demonstrations;
  std::string item;
  bool is_chat = false;
  std::vector<Turn> turns;
  std::string prefill;

  // Byte span [first, second) of the question itself within `item` (or the last user turn).
  std::pair<size_t, size_t> question{0, 0};

  Truncation truncation = Truncation::fail;
  int max_prompt_tokens = 0;  // the task's own limit; 0 = the model's context

  // choose: continuations scored after the prompt.
  std::vector<std::string> options;

  // generate
  int max_new_tokens = 0;
  double temperature = 0, top_p = 1;
  std::vector<std::string> stops;
  std::string reference;  // continuation whose NLL is logged as graded outcome; empty = none

  // Plain prompts only (not is_chat): with all demonstrations, or with the first n of them.
  std::string prompt() const { return prompt(demonstrations.size()); }
  std::string prompt(size_t n_demonstrations) const;
};

struct OptionScore {
  double logprob = 0;  // sum over the option's tokens, nats
  int n_tokens = 0;
};

struct Answer {
  enum class Status { ok, too_long, not_finite, cancelled };
  Status status = Status::ok;
  std::vector<OptionScore> options;  // choose
  std::string text;                  // generate: stop string cut off
  bool hit_length_limit = false;
  std::optional<double> reference_logprob;  // sum, nats
  int reference_tokens = 0;
};

}  // namespace tasks
