#include "datasets/jsonl_fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "datasets/data_error.h"

namespace datasets {

void LineProblems::add(size_t line, std::string_view what) {
  if (n_bad_++ == 0) first_ = fmt::format("{}:{}: {}", file_, line, what);
}

void LineProblems::throw_if_any() const {
  if (n_bad_ != 0)
    throw DataError(fmt::format("{} ({} bad of {} lines)", first_, n_bad_, n_lines_));
}

std::string take_text(const JsonObject& line, std::string_view name, bool may_be_empty,
                      std::string& out) {
  const JsonField* field = line.find(name);
  if (!field) return fmt::format("field \"{}\" is missing", name);
  if (field->kind != JsonField::Kind::string)
    return fmt::format("field \"{}\" is a {}, expected a string", name, kind_name(field->kind));
  if (field->text.empty() && !may_be_empty) return fmt::format("field \"{}\" is empty", name);
  out = field->text;
  return "";
}

bool is_identifier(std::string_view s) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !s.empty() && is_letter(s[0]) && std::all_of(s.begin(), s.end(), [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9');
  });
}

}  // namespace datasets
