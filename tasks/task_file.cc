#include "tasks/task_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tasks/data_shift.h"
#include "tasks/strict_json.h"
#include "tasks/text.h"

namespace tasks {
namespace {

using nlohmann::json;

PromptTemplate prompt_of(const StrictObject& object, const std::string& key,
                         const std::vector<std::string>& fields, const std::string& once = {}) {
  const std::string source = object.text(key);
  try {
    PromptTemplate t(source, fields);
    if (!once.empty() && t.count(once) != 1)
      object.fail(key, fmt::format("has {{{{{}}}}} {} times, want once", once, t.count(once)));
    return t;
  } catch (const std::invalid_argument& e) {
    object.fail(key, e.what());
  }
}

bool is_name(std::string_view s) {
  return !s.empty() && s.size() <= 64 && std::all_of(s.begin(), s.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

void read_choose(StrictObject& root, TaskSpec& spec) {
  StrictObject prompt =
      root.object("prompt", {"header", "item", "separator", "strip_question", "wordings"});
  spec.header = prompt_of(prompt, "header", {"subject"});
  spec.item = prompt_of(prompt, "item", {"subject", "question", "lettered_choices"}, "question");
  spec.separator = prompt.text("separator", "\n\n");
  spec.strip_question = prompt.truth("strip_question", false);
  if (prompt.has("wordings"))
    for (const StrictObject& w : prompt.objects("wordings", {"header", "item"}))
      spec.wordings.push_back(
          {prompt_of(w, "header", {"subject"}),
           prompt_of(w, "item", {"subject", "question", "lettered_choices"}, "question")});
  root.put("prompt", prompt);
  spec.option = prompt_of(root, "option", {"letter", "choice"});
  if (spec.option.count("letter") + spec.option.count("choice") == 0)
    root.fail("option", "has neither {{letter}} nor {{choice}}, so all options would be equal");
  spec.num_fewshot = root.integer("num_fewshot", 0, 0, 1000);
  spec.normalise =
      root.one_of("normalise", {"none", "chars", "bytes", "tokens"}, TaskSpec::Normalise::none);
}

void read_prompt(StrictObject& root, TaskSpec& spec) {
  StrictObject prompt = root.object("prompt", {"item"});
  spec.item = prompt_of(prompt, "item", {"prompt"}, "prompt");
  root.put("prompt", prompt);
}

void read_generation(StrictObject& root, TaskSpec& spec) {
  StrictObject generation =
      root.object("generation", {"max_new_tokens", "temperature", "top_p", "stops"});
  spec.max_new_tokens = generation.integer("max_new_tokens", 1024, 1, 1 << 20);
  spec.temperature = generation.number("temperature", 0, 0, 100);
  spec.top_p = generation.number("top_p", 1, 1e-6, 1);
  spec.stops = generation.texts("stops");
  root.put("generation", generation);
}

void read_match(StrictObject& root, TaskSpec& spec) {
  StrictObject prompt = root.object("prompt", {"header", "item", "answer", "separator"});
  if (prompt.has("header")) spec.header = prompt_of(prompt, "header", {"instruction"});
  spec.item = prompt_of(prompt, "item", {"subject", "question"}, "question");
  if (prompt.has("answer")) {
    spec.answer = prompt_of(prompt, "answer", {"solution"}, "solution");
    spec.separator = prompt.text("separator", "\n\n");
    spec.num_fewshot = root.integer("num_fewshot", 0, 0, 1000);
  } else if (prompt.has("separator") || root.has("num_fewshot")) {
    prompt.fail("answer", "is missing: separator and num_fewshot say how it is shown");
  }
  root.put("prompt", prompt);
  if (root.has("reference")) spec.reference = prompt_of(root, "reference", {"solution", "target"});
  read_generation(root, spec);
  root.text("extraction");  // no rule fits every data set
  spec.match_rule = root.one_of(
      "extraction", {"gsm_strict", "gsm_flexible", "gsm_plus", "answer_is"}, spec.match_rule);
  spec.question_edits = root.truth("question_edits", true);
}

void read_code(StrictObject& root, TaskSpec& spec) {
  StrictObject prompt = root.object("prompt", {"item", "answer", "separator", "user", "prefill"});
  spec.is_chat = prompt.has("user") || prompt.has("prefill");
  if (spec.is_chat) {
    if (prompt.has("item")) prompt.fail("item", "stands beside user or prefill, want one form");
    spec.user = prompt_of(prompt, "user", {"prompt"}, "prompt");
    spec.prefill = prompt_of(prompt, "prefill", {"prompt"});
  } else {
    spec.item = prompt_of(prompt, "item", {"prompt"}, "prompt");
  }
  for (const char* key : {"answer", "separator"})
    if (spec.is_chat && prompt.has(key))
      prompt.fail(key, "belongs to demonstrations, which a chat form of a code task has not");
  if (prompt.has("answer")) {
    spec.answer = prompt_of(prompt, "answer", {"solution"}, "solution");
    spec.separator = prompt.text("separator", "\n\n");
    spec.num_fewshot = root.integer("num_fewshot", 0, 0, 1000);
  } else if (prompt.has("separator") || root.has("num_fewshot")) {
    prompt.fail("answer", "is missing: separator and num_fewshot say how it is shown");
  }
  root.put("prompt", prompt);
  read_generation(root, spec);
  spec.extraction = root.one_of("extraction", {"completion", "before_fence", "program"},
                                TaskSpec::Extraction::completion);
  if (spec.is_chat && spec.extraction == TaskSpec::Extraction::program)
    root.fail("extraction", "is \"program\", which a prefill that opens the program contradicts");
  spec.cpu_s = root.number("cpu_s", 3.0, 0.01, 3600);
}

std::vector<std::string> known_keys(TaskSpec::Kind kind) {
  std::vector<std::string> keys = {"task", "version", "suite",      "description", "dataset",
                                   "kind", "prompt",  "truncation", "data_shift"};
  if (kind != TaskSpec::Kind::prompt) keys.push_back("chance");
  for (const char* key : {"num_fewshot", "option", "normalise"})
    if (kind == TaskSpec::Kind::choose) keys.push_back(key);
  for (const char* key : {"num_fewshot", "generation", "extraction", "cpu_s"})
    if (kind == TaskSpec::Kind::code) keys.push_back(key);
  for (const char* key : {"num_fewshot", "reference", "generation", "extraction", "question_edits"})
    if (kind == TaskSpec::Kind::match) keys.push_back(key);
  return keys;
}

}  // namespace

TaskSpec parse_task_file(std::string_view text, const std::string& file) {
  TaskSpec spec;
  // The kind decides which keys are known; a wrong kind is reported by the second look.
  const auto kind = StrictObject::peek_text(text, file, "kind");
  if (kind == "code") spec.kind = TaskSpec::Kind::code;
  if (kind == "prompt") spec.kind = TaskSpec::Kind::prompt;
  if (kind == "match") spec.kind = TaskSpec::Kind::match;
  auto root = StrictObject::parse(text, file, known_keys(spec.kind));
  root.text("kind");
  spec.kind = root.one_of("kind", {"choose", "code", "prompt", "match"}, spec.kind);

  spec.name = root.text("task");
  if (!is_name(spec.name))
    root.fail("task", fmt::format("is {}, want 1 to 64 of a-z, 0-9 and _", quote(spec.name)));
  spec.suite = root.text("suite", spec.name);
  if (!is_name(spec.suite))
    root.fail("suite", fmt::format("is {}, want 1 to 64 of a-z, 0-9 and _", quote(spec.suite)));
  spec.version = root.integer("version", 1, 1, 1'000'000);
  spec.description = root.text("description");
  spec.dataset = root.text("dataset");
  if (root.has("data_shift"))  // kept in the file's text only: data_shift_of() reads it
    root.one_of("data_shift",
                {"none", "domain", "language", "difficulty", "label_quality", "safety"},
                DataShift::none);
  if (spec.kind != TaskSpec::Kind::prompt && root.has("chance"))
    spec.chance = root.number("chance", 0, 0, 1);

  if (spec.kind == TaskSpec::Kind::choose)
    read_choose(root, spec);
  else if (spec.kind == TaskSpec::Kind::code)
    read_code(root, spec);
  else if (spec.kind == TaskSpec::Kind::match)
    read_match(root, spec);
  else
    read_prompt(root, spec);

  if (root.has("truncation")) {
    StrictObject truncation = root.object("truncation", {"rule", "max_prompt_tokens"});
    spec.truncation = truncation.one_of(
        "rule", {"drop_demonstrations_from_end", "left_tokens", "fail"}, Truncation::fail);
    spec.max_prompt_tokens = truncation.integer("max_prompt_tokens", 0, 0, 1 << 24);
    root.put("truncation", truncation);
  }
  spec.json = root.dump();
  return spec;
}

void set_num_fewshot(TaskSpec& spec, int num_fewshot) {
  spec.num_fewshot = num_fewshot;
  json value = json::parse(spec.json);
  value["num_fewshot"] = num_fewshot;
  spec.json = value.dump();
}

}  // namespace tasks
