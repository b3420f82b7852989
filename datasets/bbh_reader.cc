#include "datasets/bbh_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>

#include "datasets/data_error.h"
#include "datasets/input_bytes.h"
#include "datasets/jsonl.h"

namespace datasets {
namespace {

constexpr std::string_view kBbhRule = "-----\n";
constexpr std::string_view kBbhQuestion = "\n\nQ: ";

bool bbh_is_task_name(std::string_view s) {
  return !s.empty() && s.size() <= 64 && std::all_of(s.begin(), s.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

const JsonField& bbh_field(const JsonObject& object, std::string_view name, JsonField::Kind kind,
                           const std::string& file) {
  const JsonField* field = object.find(name);
  if (!field) throw DataError(fmt::format("{}: field \"{}\" is missing", file, name));
  if (field->kind != kind)
    throw DataError(fmt::format("{}: field \"{}\" is a {}, expected a {}", file, name,
                                kind_name(field->kind), kind_name(kind)));
  return *field;
}

// What is wrong with a string of an example, or nothing.
std::string bbh_take(const nlohmann::json& example, const char* name, std::string& out) {
  const auto it = example.find(name);
  if (it == example.end()) return fmt::format("field \"{}\" is missing", name);
  if (!it->is_string()) return fmt::format("field \"{}\" is no string", name);
  out = it->get<std::string>();
  return out.empty() ? fmt::format("field \"{}\" is empty", name) : "";
}

std::string bbh_read_example(const nlohmann::json& example, Sample& s) {
  if (!example.is_object()) return "is no object";
  const std::string problem = bbh_take(example, "input", s.input);
  if (!problem.empty()) return problem;
  if (example.size() > 2)
    return fmt::format("has {} fields, expected input and target", example.size());
  return bbh_take(example, "target", s.target);
}

// A prompt file while it is read, with the place for messages.
struct BbhText {
  std::string_view text;
  const std::string& file;

  [[noreturn]] void fail(size_t at, std::string_view what) const {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(at), '\n');
    throw DataError(fmt::format("{}:{}: {}", file, line, what));
  }
};

// One example, [at, end) of the text.
Sample bbh_read_demonstration(const BbhText& t, size_t at, size_t end) {
  const std::string_view whole = t.text.substr(at, end - at);
  const size_t think = whole.find(kBbhThink);
  if (think == std::string_view::npos)
    t.fail(at, "the example has no line that begins with \"A: Let's think step by step.\"");
  if (whole.find(kBbhThink, think + 1) != std::string_view::npos)
    t.fail(at, "the example has two lines that begin with \"A: Let's think step by step.\"");
  const std::string_view answer = whole.substr(think + kBbhThink.size());
  if (answer.size() < 2 || (answer[0] != '\n' && answer[0] != ' '))
    t.fail(at + think + 1, fmt::format("the worked answer is {}, expected a line end or a blank "
                                       "and a text",
                                       printable(answer)));
  if (think == 0) t.fail(at, "the question is empty");
  Sample s;
  s.input = whole.substr(0, think);
  s.reference = answer;
  return s;
}

}  // namespace

std::vector<std::string> list_bbh_tasks(const std::filesystem::path& folder) {
  const std::filesystem::path questions = folder / "bbh";
  std::error_code error;
  std::vector<std::string> tasks;
  for (std::filesystem::directory_iterator it(questions, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() != ".json") continue;
    tasks.push_back(it->path().stem().string());
    if (!bbh_is_task_name(tasks.back()))
      throw DataError(fmt::format("{}: {} is no task name (a-z, 0-9 and _, at most 64)",
                                  questions.string(), printable(tasks.back())));
  }
  if (error) throw DataError(fmt::format("{}: {}", questions.string(), error.message()));
  if (tasks.empty())
    throw DataError(fmt::format("{}: no file named <task>.json", questions.string()));
  std::sort(tasks.begin(), tasks.end());
  return tasks;
}

std::vector<Sample> parse_bbh(std::string_view bytes, const std::string& file,
                              std::string_view task) {
  const std::vector<JsonObject> lines = parse_jsonl(bytes, file);
  if (lines.size() != 1)
    throw DataError(fmt::format("{}: {} lines, expected one object", file, lines.size()));
  bbh_field(lines[0], "canary", JsonField::Kind::string, file);
  const auto list =
      nlohmann::json::parse(bbh_field(lines[0], "examples", JsonField::Kind::array, file).text);
  if (list.empty()) throw DataError(fmt::format("{}: field \"examples\" is empty", file));
  std::vector<Sample> samples;
  samples.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    Sample s;
    const std::string problem = bbh_read_example(list[i], s);
    if (!problem.empty()) throw DataError(fmt::format("{}: example {}: {}", file, i, problem));
    s.id = fmt::format("bbh/{}/{}", task, i);
    s.subset = task;
    s.split = "test";
    samples.push_back(std::move(s));
  }
  return samples;
}

BbhPrompt parse_bbh_prompt(std::string_view bytes, const std::string& file, std::string_view task) {
  require_text(bytes, file);
  const BbhText t{bytes, file};
  if (bytes.find('\r') != std::string_view::npos)
    t.fail(bytes.find('\r'), "a carriage return, expected plain line ends");
  const size_t canary = bytes.find('\n');
  if (canary == std::string_view::npos ||
      bytes.substr(0, canary).find("canary GUID") == std::string_view::npos)
    t.fail(0, "no canary on the first line");
  if (bytes.substr(canary + 1, kBbhRule.size()) != kBbhRule)
    t.fail(canary + 1, "no line \"-----\" after the canary");
  const size_t start = canary + 1 + kBbhRule.size();
  size_t at = bytes.find(kBbhQuestion, start);
  if (at == std::string_view::npos) t.fail(start, "no example: a blank line, then \"Q: \"");
  if (at == start) t.fail(start, "no instruction before the first example");

  BbhPrompt prompt;
  prompt.instruction = bytes.substr(start, at - start);
  while (at != std::string_view::npos) {
    at += kBbhQuestion.size();
    const size_t next = bytes.find(kBbhQuestion, at);
    Sample s = bbh_read_demonstration(t, at, std::min(next, bytes.size()));
    s.id = fmt::format("bbh/{}/dev/{}", task, prompt.demonstrations.size());
    s.subset = task;
    s.split = "dev";
    prompt.demonstrations.push_back(std::move(s));
    at = next;
  }
  return prompt;
}

}  // namespace datasets
