// Owns a refusal filter: words and phrases for which a prompt would be turned away before any model
// reads it. A pure function of the prompt's text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace harness {

class RefusalFilter {
 public:
  // text: {"name": "...", "phrases": ["...", ...]}. Throws tasks::TaskError: file, JSON pointer,
  // what is wrong.
  static RefusalFilter parse(std::string_view text, const std::string& file);
  // Throws tasks::TaskError, also when the file cannot be read.
  static RefusalFilter read(const std::string& path);

  const std::string& name() const { return name_; }
  // A phrase stands in the text as whole words, letter case and what is between words aside.
  bool refuses(std::string_view text) const;

 private:
  std::string name_;
  std::vector<std::string> phrases_;  // folded: " make a bomb "
};

}  // namespace harness
