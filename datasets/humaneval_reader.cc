#include "datasets/humaneval_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "datasets/data_error.h"
#include "datasets/input_bytes.h"
#include "datasets/jsonl.h"

namespace datasets {
namespace {

// Collects what is wrong with the lines of one file: the first in full, the rest as a count.
class Problems {
 public:
  Problems(const std::string& file, size_t n_lines) : file_(file), n_lines_(n_lines) {}
  void add(size_t line, std::string_view what) {
    if (n_bad_++ == 0) first_ = fmt::format("{}:{}: {}", file_, line, what);
  }
  void throw_if_any() const {
    if (n_bad_ != 0)
      throw DataError(fmt::format("{} ({} bad of {} lines)", first_, n_bad_, n_lines_));
  }

 private:
  const std::string& file_;
  size_t n_lines_;
  size_t n_bad_ = 0;
  std::string first_;
};

// Copies a string field; returns what is wrong, or nothing.
std::string take(const JsonObject& line, std::string_view name, bool may_be_empty,
                 std::string& out) {
  const JsonField* field = line.find(name);
  if (!field) return fmt::format("field \"{}\" is missing", name);
  if (field->kind != JsonField::Kind::string)
    return fmt::format("field \"{}\" is a {}, expected a string", name, kind_name(field->kind));
  if (field->text.empty() && !may_be_empty) return fmt::format("field \"{}\" is empty", name);
  out = field->text;
  return "";
}

// ASCII identifiers only: the name is put into the program that runs.
bool is_identifier(std::string_view s) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !s.empty() && is_letter(s[0]) && std::all_of(s.begin(), s.end(), [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9');
  });
}

std::string read_problem(const JsonObject& line, Sample& s) {
  std::string problem = take(line, "task_id", false, s.id);
  if (problem.empty()) problem = take(line, "prompt", false, s.input);
  if (problem.empty()) problem = take(line, "entry_point", false, s.entry_point);
  if (problem.empty()) problem = take(line, "canonical_solution", true, s.reference);
  if (problem.empty()) problem = take(line, "test", false, s.test);
  if (problem.empty() && !is_identifier(s.entry_point))
    problem = fmt::format("entry_point {} is no identifier", printable(s.entry_point));
  return problem;
}

}  // namespace

std::vector<Sample> parse_humaneval(std::string_view bytes, const std::string& file) {
  const std::vector<JsonObject> lines = parse_jsonl(bytes, file);
  Problems problems(file, lines.size());
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
  Problems problems(file, lines.size());
  std::vector<CodeCompletion> completions;
  for (const JsonObject& line : lines) {
    CodeCompletion c;
    std::string problem = take(line, "task_id", false, c.task_id);
    if (problem.empty()) problem = take(line, "completion", true, c.completion);
    if (!problem.empty()) problems.add(line.line, problem);
    completions.push_back(std::move(c));
  }
  problems.throw_if_any();
  return completions;
}

}  // namespace datasets
