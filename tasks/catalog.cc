// Owns the list of built-in tasks and the way from a name or a file to a Task.
#include <fmt/format.h>

#include "tasks/choice_task.h"
#include "tasks/code_task.h"
#include "tasks/definitions.h"
#include "tasks/match_task.h"
#include "tasks/prompt_task.h"
#include "tasks/task.h"
#include "tasks/task_file.h"
#include "tasks/text.h"

namespace tasks {
namespace {

bool is_path(std::string_view name) {
  return name.find('/') != std::string_view::npos || name.ends_with(".json");
}

TaskSpec find_spec(std::string_view name) {
  if (is_path(name)) {
    const std::string path(name);
    return parse_task_file(read_config_file(path), path);
  }
  for (const Definition& definition : definitions())
    if (definition.name == name)
      return parse_task_file(definition.json, fmt::format("built-in task {}", name));
  const std::string near = nearest(name, task_names());
  throw TaskError(
      fmt::format("unknown task {}, {} (a path to a task file ends in .json)", quote(name),
                  near.empty() ? fmt::format("want one of {}", fmt::join(task_names(), ", "))
                               : fmt::format("the nearest is {}", near)));
}

}  // namespace

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const Definition& definition : definitions()) names.emplace_back(definition.name);
  return names;
}

std::unique_ptr<Task> make_task(std::string_view name, const TaskOptions& options) {
  TaskSpec spec = find_spec(name);
  if (spec.kind == TaskSpec::Kind::prompt) return std::make_unique<PromptTask>(std::move(spec));
  const bool shows = spec.kind == TaskSpec::Kind::choose || spec.answer.count("solution") > 0;
  if (options.num_fewshot && shows) {
    if (*options.num_fewshot < 0)
      throw TaskError(fmt::format("num_fewshot is {}, want 0 or more", *options.num_fewshot));
    set_num_fewshot(spec, *options.num_fewshot);
  }
  if (spec.kind == TaskSpec::Kind::match) return std::make_unique<MatchTask>(std::move(spec));
  if (spec.kind == TaskSpec::Kind::code) return std::make_unique<CodeTask>(std::move(spec));
  return std::make_unique<ChoiceTask>(std::move(spec));
}

}  // namespace tasks
