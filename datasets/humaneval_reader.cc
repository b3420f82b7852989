#include "datasets/humaneval_reader.h"

#include <fmt/format.h>

#include <string_view>
#include <unordered_map>

#include "datasets/data_error.h"
#include "datasets/input_bytes.h"
#include "datasets/jsonl.h"
#include "datasets/jsonl_fields.h"

namespace datasets {
namespace {

std::string read_problem(const JsonObject& line, Sample& s) {
  std::string problem = take_text(line, "task_id", false, s.id);
  if (problem.empty()) problem = take_text(line, "prompt", false, s.input);
  if (problem.empty()) problem = take_text(line, "entry_point", false, s.entry_point);
  if (problem.empty()) problem = take_text(line, "canonical_solution", true, s.reference);
  if (problem.empty()) problem = take_text(line, "test", false, s.test);
  if (problem.empty() && !is_identifier(s.entry_point))
    problem = fmt::format("entry_point {} is no identifier", printable(s.entry_point));
  return problem;
}

}  // namespace

std::vector<Sample> parse_humaneval(std::string_view bytes, const std::string& file) {
  const std::vector<JsonObject> lines = parse_jsonl(bytes, file);
  LineProblems problems(file, lines.size());
  std::vector<Sample> samples;
  std::unordered_map<std::string, size_t> line_of_id;
  for (const JsonObject& line : lines) {
    Sample s;
    s.split = "test";
    const std::string problem = read_problem(line, s);
    if (!problem.empty()) {
      problems.add(line.line, problem);
      continue;
    }
    const auto [first, is_new] = line_of_id.emplace(s.id, line.line);
    if (!is_new) {
      problems.add(line.line,
                   fmt::format("task_id {} is on line {} already", printable(s.id), first->second));
      continue;
    }
    samples.push_back(std::move(s));
  }
  problems.throw_if_any();
  return samples;
}

std::vector<CodeCompletion> parse_completions(std::string_view bytes, const std::string& file) {
  const std::vector<JsonObject> lines = parse_jsonl(bytes, file);
  LineProblems problems(file, lines.size());
  std::vector<CodeCompletion> completions;
  for (const JsonObject& line : lines) {
    CodeCompletion c;
    std::string problem = take_text(line, "task_id", false, c.task_id);
    if (problem.empty()) problem = take_text(line, "completion", true, c.completion);
    if (!problem.empty()) problems.add(line.line, problem);
    completions.push_back(std::move(c));
  }
  problems.throw_if_any();
  return completions;
}

}  // namespace datasets
