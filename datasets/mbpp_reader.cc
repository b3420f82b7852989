#include "datasets/mbpp_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "datasets/input_bytes.h"
#include "datasets/jsonl.h"
#include "datasets/jsonl_fields.h"

namespace datasets {
namespace {

constexpr int kFirstShown = 2, kLastShown = 4;  // demonstrations
constexpr int kFirstTest = 11, kLastTest = 510;
constexpr size_t kAssertions = 3;
constexpr std::string_view kBeforeAssertions = " Your code should pass these tests:\n\n";

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::string_view name_at(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && is_name_byte(text[end])) ++end;
  return text.substr(at, end - at);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// Functions defined at the beginning of a line.
std::set<std::string> functions_of(std::string_view code) {
  std::set<std::string> names;
  for (const std::string_view line : lines_of(code))
    if (line.starts_with("def ")) {
      const size_t at = line.find_first_not_of(" \t", 4);
      if (at == std::string_view::npos) continue;
      if (const auto name = name_at(line, at); is_identifier(name)) names.emplace(name);
    }
  return names;
}

// Whether `text` has the name with a bracket behind it.
bool calls(std::string_view text, std::string_view name) {
  for (size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    if (at > 0 && (is_name_byte(text[at - 1]) || text[at - 1] == '.')) continue;
    const size_t next = text.find_first_not_of(" \t", at + name.size());
    if (next != std::string_view::npos && text[next] == '(') return true;
  }
  return false;
}

// Names that a line of the setup begins to define: "root = Node(1)".
std::vector<std::string> assigned_names(std::string_view setup) {
  std::vector<std::string> names;
  for (const std::string_view line : lines_of(setup)) {
    const auto name = name_at(line, 0);
    const size_t next = line.find_first_not_of(" \t", name.size());
    if (!is_identifier(name) || next == std::string_view::npos || line[next] != '=' ||
        line.substr(next).starts_with("=="))
      continue;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.emplace_back(name);
  }
  return names;
}

std::string take_id(const JsonObject& line, int& id) {
  const JsonField* field = line.find("task_id");
  if (!field) return "field \"task_id\" is missing";
  const char* end = field->text.data() + field->text.size();
  const auto [stop, error] = std::from_chars(field->text.data(), end, id);
  if (field->kind != JsonField::Kind::number || error != std::errc() || stop != end || id < 1)
    return fmt::format("field \"task_id\" is {}, expected a positive integer",
                       printable(field->text));
  return "";
}

std::string take_assertions(const JsonObject& line, std::vector<std::string>& out) {
  const JsonField* field = line.find("test_list");
  if (!field) return "field \"test_list\" is missing";
  if (field->kind != JsonField::Kind::array)
    return fmt::format("field \"test_list\" is a {}, expected an array", kind_name(field->kind));
  const auto list = nlohmann::json::parse(field->text);
  if (list.size() != kAssertions)
    return fmt::format("field \"test_list\" holds {} assertions, expected {}", list.size(),
                       kAssertions);
  for (const auto& item : list) {
    if (!item.is_string()) return "field \"test_list\" holds something else than strings";
    out.push_back(item.get<std::string>());
    if (out.back().empty() || out.back().find_first_of("\r\n") != std::string::npos)
      return fmt::format("field \"test_list\": {} is no single line", printable(out.back()));
  }
  return "";
}

std::string find_entry_point(const std::vector<std::string>& assertions, Sample& s) {
  std::vector<std::string> called;
  for (const std::string& name : functions_of(s.reference))
    if (std::all_of(assertions.begin(), assertions.end(),
                    [&](const auto& a) { return calls(a, name); }))
      called.push_back(name);
  if (called.size() != 1)
    return fmt::format("every assertion calls {} of the functions of \"code\"{}, expected one",
                       called.size(),
                       called.empty() ? "" : fmt::format(" ({})", fmt::join(called, ", ")));
  s.entry_point = called[0];
  return "";
}

bool is_shown(int id) { return id >= kFirstShown && id <= kLastShown; }
bool is_test(int id) { return id >= kFirstTest && id <= kLastTest; }

std::string read_problem(const JsonObject& line, int& id, Sample& s) {
  std::string description;
  std::vector<std::string> assertions;
  std::string problem = take_id(line, id);
  if (problem.empty() && !is_shown(id) && !is_test(id)) return "";
  if (problem.empty()) problem = take_text(line, "text", false, description);
  if (problem.empty()) problem = take_text(line, "code", false, s.reference);
  if (problem.empty()) problem = take_text(line, "test_setup_code", true, s.setup);
  if (problem.empty()) problem = take_assertions(line, assertions);
  if (problem.empty()) problem = find_entry_point(assertions, s);
  if (!problem.empty()) return problem;
  s.id = fmt::format("MBPP/{}", id);
  s.input = fmt::format("{}{}{}", description, kBeforeAssertions, fmt::join(assertions, "\n"));
  for (const std::string& name : assigned_names(s.setup))
    s.test += fmt::format("{} = by_name(\"{}\")\n", name, name);
  // A local name: two problems ask for a function named check.
  s.test += fmt::format("def check(candidate):\n    {} = candidate\n    {}\n", s.entry_point,
                        fmt::join(assertions, "\n    "));
  return "";
}

}  // namespace

std::vector<Sample> parse_mbpp(std::string_view bytes, const std::string& file) {
  const std::vector<JsonObject> lines = parse_jsonl(bytes, file);
  LineProblems problems(file, lines.size());
  std::vector<Sample> shown, test;
  std::unordered_map<int, size_t> line_of_id;
  for (const JsonObject& line : lines) {
    Sample s;
    int id = 0;
    const std::string problem = read_problem(line, id, s);
    if (!problem.empty()) {
      problems.add(line.line, problem);
      continue;
    }
    const auto [first, is_new] = line_of_id.emplace(id, line.line);
    if (!is_new) {
      problems.add(line.line, fmt::format("task_id {} is on line {} already", id, first->second));
    } else if (is_shown(id)) {
      s.split = "dev";
      shown.push_back(std::move(s));
    } else if (is_test(id)) {
      s.split = "test";
      test.push_back(std::move(s));
    }
  }
  problems.throw_if_any();
  shown.insert(shown.end(), std::make_move_iterator(test.begin()),
               std::make_move_iterator(test.end()));
  return shown;
}

}  // namespace datasets
