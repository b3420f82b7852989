#include "tasks/prompt_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <stdexcept>

#include "tasks/text.h"

namespace tasks {

PromptTemplate::PromptTemplate(std::string_view source,
                               const std::vector<std::string>& allowed_fields) {
  while (!source.empty()) {
    const size_t open = source.find("{{");
    if (open != 0) parts_.push_back({false, std::string(source.substr(0, open))});
    if (open == std::string_view::npos) return;
    const size_t close = source.find("}}", open);
    if (close == std::string_view::npos)
      throw std::invalid_argument(
          fmt::format("a mark opened with {{{{ is not closed: {}", quote(source.substr(open))));
    const std::string name(strip(source.substr(open + 2, close - open - 2)));
    if (std::find(allowed_fields.begin(), allowed_fields.end(), name) == allowed_fields.end())
      throw std::invalid_argument(fmt::format("unknown field {}, want one of {}", quote(name),
                                              fmt::join(allowed_fields, ", ")));
    parts_.push_back({true, name});
    source.remove_prefix(close + 2);
  }
}

int PromptTemplate::count(std::string_view field) const {
  return static_cast<int>(std::count_if(parts_.begin(), parts_.end(), [&](const Part& part) {
    return part.is_field && part.text == field;
  }));
}

std::string PromptTemplate::render(std::initializer_list<Field> fields) const {
  std::pair<size_t, size_t> unused;
  return render(fields, {}, &unused);
}

std::string PromptTemplate::render(std::initializer_list<Field> fields, std::string_view marked,
                                   std::pair<size_t, size_t>* span) const {
  std::string out;
  bool found = false;
  for (const Part& part : parts_) {
    if (!part.is_field) {
      out += part.text;
      continue;
    }
    const auto field = std::find_if(fields.begin(), fields.end(),
                                    [&](const Field& f) { return f.name == part.text; });
    assert(field != fields.end());
    if (part.text == marked && !found) {
      found = true;
      *span = {out.size(), out.size() + field->value.size()};
    }
    out += field->value;
  }
  return out;
}

}  // namespace tasks
