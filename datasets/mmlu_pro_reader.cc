#include "datasets/mmlu_pro_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "datasets/input_bytes.h"
#include "datasets/jsonl.h"
#include "datasets/jsonl_fields.h"

namespace datasets {
namespace {

constexpr size_t kProFewestOptions = 3, kProMostOptions = 10;

// The one published row whose keys differ: answer C, answer_index 1. The letter is what counts. It
// is what upstream's evaluation and lm-eval mark by, and it is right: of the bonds, N-H (option C)
// is the one whose negative end is written first.
constexpr int kProTwoKeysId = 3983, kProTwoKeysLetter = 2, kProTwoKeysIndex = 1;

std::string pro_take_integer(const JsonObject& line, std::string_view name, int least, int& out) {
  const JsonField* field = line.find(name);
  if (!field) return fmt::format("field \"{}\" is missing", name);
  const char* end = field->text.data() + field->text.size();
  const auto [stop, error] = std::from_chars(field->text.data(), end, out);
  if (field->kind != JsonField::Kind::number || error != std::errc() || stop != end || out < least)
    return fmt::format("field \"{}\" is {}, expected an integer from {} on", name,
                       printable(field->text), least);
  return "";
}

std::string pro_take_options(const JsonObject& line, std::vector<std::string>& out) {
  const JsonField* field = line.find("options");
  if (!field) return "field \"options\" is missing";
  if (field->kind != JsonField::Kind::array)
    return fmt::format("field \"options\" is a {}, expected an array", kind_name(field->kind));
  const auto list = nlohmann::json::parse(field->text);
  if (list.size() < kProFewestOptions || list.size() > kProMostOptions)
    return fmt::format("{} options, expected {} to {}", list.size(), kProFewestOptions,
                       kProMostOptions);
  for (const auto& item : list) {
    if (!item.is_string()) return "field \"options\" holds something else than strings";
    out.push_back(item.get<std::string>());
    if (out.back().empty()) return fmt::format("option {} is empty", out.size() - 1);
  }
  return "";
}

std::string pro_take_answer(const JsonObject& line, int id, size_t n_options, int& out) {
  std::string letter;
  int index = 0;
  std::string problem = take_text(line, "answer", false, letter);
  if (problem.empty()) problem = pro_take_integer(line, "answer_index", 0, index);
  if (!problem.empty()) return problem;
  const char last = static_cast<char>('A' + n_options - 1);
  if (letter.size() != 1 || letter[0] < 'A' || letter[0] > last)
    return fmt::format("answer is {}, expected a letter from A to {}", printable(letter), last);
  out = letter[0] - 'A';
  const bool is_known =
      id == kProTwoKeysId && out == kProTwoKeysLetter && index == kProTwoKeysIndex;
  if (out != index && !is_known)
    return fmt::format("answer is {} (index {}), answer_index is {}", letter, out, index);
  return "";
}

std::string pro_read_question(const JsonObject& line, int& id, Sample& s) {
  std::string problem = pro_take_integer(line, "question_id", 1, id);
  if (problem.empty()) problem = take_text(line, "question", false, s.input);
  if (problem.empty()) problem = take_text(line, "category", false, s.subset);
  if (problem.empty()) problem = pro_take_options(line, s.choices);
  if (problem.empty()) problem = pro_take_answer(line, id, s.choices.size(), s.answer);
  if (!problem.empty()) return problem;
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || c == ' '; };
  if (s.subset.size() > 64 || !std::all_of(s.subset.begin(), s.subset.end(), fits))
    return fmt::format("category is {}, want 1 to 64 of a-z and blanks", printable(s.subset));
  std::replace(s.subset.begin(), s.subset.end(), ' ', '_');
  s.id = fmt::format("mmlu_pro/{}", id);
  s.split = "test";
  return "";
}

}  // namespace

std::vector<Sample> parse_mmlu_pro(std::string_view bytes, const std::string& file) {
  const std::vector<JsonObject> lines = parse_jsonl(bytes, file);
  LineProblems problems(file, lines.size());
  std::vector<Sample> out;
  std::unordered_map<int, size_t> line_of_id;
  for (const JsonObject& line : lines) {
    Sample s;
    int id = 0;
    std::string problem = pro_read_question(line, id, s);
    if (problem.empty()) {
      const auto [first, is_new] = line_of_id.emplace(id, line.line);
      if (!is_new) problem = fmt::format("question_id {} is on line {} already", id, first->second);
    }
    if (problem.empty())
      out.push_back(std::move(s));
    else
      problems.add(line.line, problem);
  }
  problems.throw_if_any();
  return out;
}

}  // namespace datasets
