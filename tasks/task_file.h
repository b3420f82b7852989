// Owns TaskSpec: one task file, parsed strictly. A task is data over the closed set of rules named
// by the enumerations below.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/answer_match.h"
#include "tasks/prompt_template.h"
#include "tasks/query.h"

namespace tasks {

struct TaskSpec {
  enum class Kind { choose, code, prompt, match };
  // What an option's log-probability is divided by before the best one is taken. Characters and
  // bytes are those of the option's text without the delimiter in front of it, as in lm-eval.
  enum class Normalise { none, chars, bytes, tokens };
  // Which part of the answer is the completion.
  // program: the answer is the whole program, the prompt is no part of it.
  enum class Extraction { completion, before_fence, program };

  std::string name, suite, description, dataset;
  int version = 1;
  Kind kind = Kind::choose;
  std::optional<double> chance;
  Truncation truncation = Truncation::fail;
  int max_prompt_tokens = 0;

  // choose. Fields: header {{subject}}; item {{subject}} {{question}} {{lettered_choices}}; option
  // {{letter}} {{choice}}. A demonstration is item + right option + separator.
  PromptTemplate header, item, option;
  struct Wording {
    PromptTemplate header, item;
  };
  std::vector<Wording> wordings;  // other ways to ask the same, for sweeps
  std::string separator;
  bool strip_question = false;  // as Python's str.strip()
  int num_fewshot = 0;          // the first rows of the subject's dev split
  Normalise normalise = Normalise::none;

  // prompt. Field {{prompt}} of item.

  // code. Field {{prompt}}. Either item (plain) or user and prefill (chat). A plain prompt may have
  // demonstrations: item + answer, field {{solution}}, + separator, num_fewshot times.
  bool is_chat = false;
  PromptTemplate user, prefill, answer;
  int max_new_tokens = 0;
  double temperature = 0, top_p = 1;
  std::vector<std::string> stops;
  Extraction extraction = Extraction::completion;
  double cpu_s = 3.0;

  // match. Fields: header {{instruction}}; item {{subject}} {{question}}; answer {{solution}};
  // reference {{solution}} {{target}}. A demonstration is item + answer + separator.
  PromptTemplate reference;  // continuation whose NLL is the graded outcome; empty = none
  MatchRule match_rule = MatchRule::gsm_strict;
  bool question_edits = true;  // Task::question_may_be_edited()

  std::string json;  // the file's content with every default filled in, keys sorted
};

// file names the source in messages. Throws TaskError: file, JSON pointer, what is wrong, and the
// nearest known key or value.
TaskSpec parse_task_file(std::string_view text, const std::string& file);

// Replaces num_fewshot in the spec and in its json.
void set_num_fewshot(TaskSpec&, int num_fewshot);

}  // namespace tasks
