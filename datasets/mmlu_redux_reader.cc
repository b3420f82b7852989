#include "datasets/mmlu_redux_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "datasets/csv_table.h"
#include "datasets/input_bytes.h"
#include "datasets/python_list.h"

namespace datasets {
namespace {

constexpr size_t kReduxChoices = 4;
constexpr std::string_view kReduxKept = "ok";
constexpr std::array<std::string_view, 7> kReduxLabels = {kReduxKept,
                                                          "bad question clarity",
                                                          "bad options clarity",
                                                          "no correct answer",
                                                          "wrong groundtruth",
                                                          "multiple correct answers",
                                                          "expert"};

std::string redux_text(std::string_view bytes) {
  std::string out;
  std::string_view rest = bytes;
  for (auto at = find_invalid_utf8(rest); at; at = find_invalid_utf8(rest)) {
    if (rest[*at] != '\xD5') break;  // left to the CSV reader, which names the byte
    out += rest.substr(0, *at);
    out += "\xE2\x80\x99";
    rest.remove_prefix(*at + 1);
  }
  return out += rest;
}

char redux_delimiter(std::string_view text) {
  const std::string_view header = text.substr(0, text.find('\n'));
  const bool has_comma = header.find(',') != std::string_view::npos;
  return !has_comma && header.find(';') != std::string_view::npos ? ';' : ',';
}

std::string redux_folded(std::string_view label) {
  std::string out;
  for (const char c : label) {
    if (c >= 'A' && c <= 'Z')
      out += static_cast<char>(c - 'A' + 'a');
    else
      out += c == '_' ? ' ' : c;
  }
  out.erase(0, std::min(out.find_first_not_of(' '), out.size()));
  out.erase(out.find_last_not_of(' ') + 1);
  return out;
}

}  // namespace

std::vector<Sample> parse_mmlu_redux_csv(std::string_view bytes, const std::string& file,
                                         std::string_view subject) {
  const std::string text = redux_text(bytes);
  const CsvTable t(text, file, redux_delimiter(text));
  const size_t question = t.column("question"), choices = t.column("choices"),
               key = t.column("answer"), error_type = t.column("error_type");
  std::vector<Sample> out;
  for (size_t i = 0; i < t.size(); ++i) {
    Sample s;
    s.id = fmt::format("mmlu_redux/{}/{}", subject, i);
    s.subset = subject;
    s.split = "test";
    s.input = t.text(i, question, "question");
    const std::string problem = read_python_strings(t.cell(i, choices), s.choices);
    if (!problem.empty()) t.fail(i, fmt::format("choices: {}", problem));
    if (s.choices.size() != kReduxChoices)
      t.fail(i, fmt::format("{} choices, expected {}", s.choices.size(), kReduxChoices));
    const std::string& answer = t.cell(i, key);
    if (answer.size() != 1 || answer[0] < '0' || answer[0] > '3')
      t.fail(i, fmt::format("answer is {}, expected 0 to 3", printable(answer)));
    s.answer = answer[0] - '0';
    const std::string label = redux_folded(t.cell(i, error_type));
    if (std::find(kReduxLabels.begin(), kReduxLabels.end(), label) == kReduxLabels.end())
      t.fail(i, fmt::format("error_type is {}, expected one of {}",
                            printable(t.cell(i, error_type)), fmt::join(kReduxLabels, ", ")));
    if (label == kReduxKept) out.push_back(std::move(s));
  }
  return out;
}

}  // namespace datasets
