#include "datasets/gsm_plus_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "datasets/input_bytes.h"
#include "datasets/jsonl.h"
#include "datasets/jsonl_fields.h"

namespace datasets {
namespace {

bool gsm_plus_digits(std::string_view s) {
  return !s.empty() && s.size() <= 18 &&
         std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// -12, 4.33 or 5/8.
bool gsm_plus_is_number(std::string_view s) {
  if (s.starts_with('-')) s.remove_prefix(1);
  const size_t mark = s.find_first_of("./");
  if (mark == std::string_view::npos) return gsm_plus_digits(s);
  return gsm_plus_digits(s.substr(0, mark)) && gsm_plus_digits(s.substr(mark + 1)) &&
         (s[mark] == '.' || s.find_first_not_of('0', mark + 1) != std::string_view::npos);
}

std::string gsm_plus_take_kind(const JsonObject& line, std::string& subset) {
  std::string problem = take_text(line, "perturbation_type", false, subset);
  if (!problem.empty()) return problem;
  const bool fits = subset.size() <= 80 && std::all_of(subset.begin(), subset.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || c == ' ' || c == '-';
                    });
  if (!fits)
    return fmt::format("field \"perturbation_type\" is {}, expected 1 to 80 of a-z, - and blanks",
                       printable(subset));
  std::replace(subset.begin(), subset.end(), ' ', '_');
  return "";
}

}  // namespace

std::vector<Sample> parse_gsm_plus(std::string_view bytes, const std::string& file) {
  const std::vector<JsonObject> lines = parse_jsonl(bytes, file);
  LineProblems problems(file, lines.size());
  std::vector<Sample> samples;
  samples.reserve(lines.size());
  for (const JsonObject& line : lines) {
    Sample s;
    std::string problem = take_text(line, "question", false, s.input);
    if (problem.empty()) problem = take_text(line, "solution", false, s.reference);
    if (problem.empty()) problem = take_text(line, "answer", false, s.target);
    if (problem.empty()) problem = gsm_plus_take_kind(line, s.subset);
    if (problem.empty() && s.target != kGsmPlusNone && !gsm_plus_is_number(s.target))
      problem = fmt::format("field \"answer\" is {}, expected a number, a fraction or None",
                            printable(s.target));
    if (!problem.empty()) {
      problems.add(line.line, problem);
      continue;
    }
    s.id = fmt::format("gsm_plus/{}", samples.size());
    s.split = "test";
    samples.push_back(std::move(s));
  }
  problems.throw_if_any();
  return samples;
}

}  // namespace datasets
