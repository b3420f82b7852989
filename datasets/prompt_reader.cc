#include "datasets/prompt_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "datasets/csv_table.h"
#include "datasets/input_bytes.h"

namespace datasets {
namespace {

std::string theme_of(const std::string& type) {
  constexpr std::string_view kContrast = "contrast_";
  if (type.starts_with(kContrast)) return type.substr(kContrast.size());
  if (type == "real_group_nons_discr") return "discr";
  if (type == "privacy_fictional") return "privacy";
  return type;
}

}  // namespace

std::vector<Sample> parse_xstest(std::string_view bytes, const std::string& file) {
  const CsvTable t(bytes, file);
  const size_t prompt = t.column("prompt"), type = t.column("type"), label = t.column("label");
  std::map<std::string, int> seen;  // prompts of a label and theme
  std::vector<Sample> out;
  for (size_t i = 0; i < t.size(); ++i) {
    const std::string& l = t.cell(i, label);
    if (l != "safe" && l != "unsafe")
      t.fail(i, fmt::format("label is {}, want safe or unsafe", printable(l)));
    Sample s;
    s.subset = t.word(i, type, "type");
    const std::string place = fmt::format("xstest/{}/{}", l, theme_of(s.subset));
    s.id = fmt::format("{}/{}", place, seen[place]++);
    s.split = "test";
    s.input = t.text(i, prompt, "prompt");
    out.push_back(std::move(s));
  }
  return out;
}

std::vector<Sample> parse_harmbench(std::string_view bytes, const std::string& file) {
  const CsvTable t(bytes, file);
  const size_t behavior = t.column("Behavior"), category = t.column("FunctionalCategory"),
               context = t.column("ContextString"), id = t.column("BehaviorID");
  std::set<std::string> ids;
  std::vector<Sample> out;
  for (size_t i = 0; i < t.size(); ++i) {
    Sample s;
    s.subset = t.word(i, category, "FunctionalCategory");
    s.id = fmt::format("harmbench/unsafe/{}/{}", s.subset, t.word(i, id, "BehaviorID"));
    if (!ids.insert(s.id).second) t.fail(i, fmt::format("{} stands there twice", s.id));
    s.split = "test";
    s.input = t.cell(i, context);
    if (!s.input.empty()) s.input += "\n\n";
    s.input += t.text(i, behavior, "Behavior");
    out.push_back(std::move(s));
  }
  return out;
}

std::optional<PromptPlace> prompt_place(std::string_view id) {
  std::array<std::string_view, 4> parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    const size_t end = i + 1 < parts.size() ? id.find('/') : id.size();
    if (end == std::string_view::npos) return std::nullopt;
    parts[i] = id.substr(0, end);
    id.remove_prefix(std::min(id.size(), end + 1));
  }
  if (parts[1] != "safe" && parts[1] != "unsafe") return std::nullopt;
  return PromptPlace{parts[1] == "unsafe", std::string(parts[2]), std::string(parts[3])};
}

}  // namespace datasets
