#include "tasks/shift/unrelated.h"

#include <fmt/format.h>

#include <algorithm>

#include "tasks/shift/sentences.h"
#include "tasks/shift/words.h"

namespace tasks::shift {

std::set<std::string> content_words_of(const datasets::Sample& s) {
  auto out = content_words(s.input);
  for (const auto& choice : s.choices) out.merge(content_words(choice));
  out.merge(content_words(s.entry_point));
  return out;
}

std::string unrelated_to(const datasets::Sample& s, std::string_view text, size_t n) {
  const auto avoided = content_words_of(s);
  if (std::any_of(text.begin(), text.end(), is_digit)) return "a number was added";
  size_t sentences = 0;
  while (!text.empty()) {
    const size_t end = text.find('.');
    if (end == std::string_view::npos) return "an added sentence has no end";
    std::string sentence(text.substr(0, end + 1));
    std::replace(sentence.begin(), sentence.end(), '\n', ' ');
    if (!is_unrelated_sentence(sentence))
      return fmt::format("'{}' is no sentence of the grammar", sentence);
    for (const auto& w : content_words(sentence))
      if (avoided.contains(w)) return fmt::format("'{}' stands in the item too", w);
    ++sentences;
    text.remove_prefix(end + 1);
    while (!text.empty() && is_blank(text[0])) text.remove_prefix(1);
  }
  return sentences >= n ? "" : fmt::format("{} sentences instead of {}", sentences, n);
}

}  // namespace tasks::shift
