// Owns prompt templates: text with {{field}} marks, nothing else. No conditions, no loops.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tasks {

class PromptTemplate {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
  };

  PromptTemplate() = default;
  // Throws std::invalid_argument, one line, for an unclosed mark or a field that is not allowed.
  PromptTemplate(std::string_view source, const std::vector<std::string>& allowed_fields);

  int count(std::string_view field) const;  // how often the field occurs

  // Values are inserted as they are: marks inside them mean nothing.
  std::string render(std::initializer_list<Field> fields) const;
  // Also tells the byte span [first, second) that the first `marked` field takes in the result.
  std::string render(std::initializer_list<Field> fields, std::string_view marked,
                     std::pair<size_t, size_t>* span) const;

 private:
  struct Part {
    bool is_field;
    std::string text;  // literal text, or the field's name
  };
  std::vector<Part> parts_;
};

}  // namespace tasks
