#include "datasets/gsm8k_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "datasets/input_bytes.h"
#include "datasets/jsonl.h"
#include "datasets/jsonl_fields.h"

namespace datasets {
namespace {

constexpr std::string_view kGsmMark = "####";

bool gsm_is_whole_number(std::string_view s) {
  if (s.starts_with('-')) s.remove_prefix(1);
  return !s.empty() && s.size() <= 18 &&
         std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// What is wrong, or nothing.
std::string gsm_take_target(const std::string& answer, std::string& target) {
  const size_t at = answer.find(kGsmMark);
  if (at == std::string::npos) return "field \"answer\" has no \"####\" before the final answer";
  if (answer.find(kGsmMark, at + 1) != std::string::npos)
    return "field \"answer\" has several \"####\", expected one";
  target = answer.substr(at + kGsmMark.size());
  const bool has_blank = target.starts_with(' ');
  if (has_blank) target.erase(0, 1);
  std::erase(target, ',');
  if (!has_blank || !gsm_is_whole_number(target))
    return fmt::format("field \"answer\" ends in {}, expected \"#### \" and a whole number",
                       printable(std::string_view(answer).substr(at)));
  return "";
}

}  // namespace

std::vector<Sample> parse_gsm8k(std::string_view bytes, const std::string& file,
                                std::string_view split) {
  const std::vector<JsonObject> lines = parse_jsonl(bytes, file);
  LineProblems problems(file, lines.size());
  std::vector<Sample> samples;
  samples.reserve(lines.size());
  for (const JsonObject& line : lines) {
    Sample s;
    std::string problem = take_text(line, "question", false, s.input);
    if (problem.empty()) problem = take_text(line, "answer", false, s.reference);
    if (problem.empty()) problem = gsm_take_target(s.reference, s.target);
    if (!problem.empty()) {
      problems.add(line.line, problem);
      continue;
    }
    s.id = fmt::format("gsm8k/{}/{}", split, samples.size());
    s.split = split;
    samples.push_back(std::move(s));
  }
  problems.throw_if_any();
  return samples;
}

}  // namespace datasets
