#include "tasks/option_order.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <string_view>

namespace tasks {
namespace {

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool speaks_of_others(std::string_view choice) {
  const std::string text = lower(choice);
  for (const char* phrase :
       {"of the above", "of the below", "of these", "of the other", "the above", "both of them",
        "neither of them", "all of them", "none of them", "all the options", "other options",
        "other choices", "previous option", "preceding option"})
    if (text.find(phrase) != std::string::npos) return true;
  return text == "both" || text == "neither" || text == "all" || text == "none" ||
         speaks_of_letters(choice);
}

// Whether the letter at `at` begins the text or follows a word that lists options.
bool begins_list(std::string_view text, size_t at) {
  while (at >= 3 && text.substr(at - 2, 2) == ", " && (at == 3 || !is_word(text[at - 4]))) at -= 3;
  const std::string before = lower(text.substr(0, at));
  if (before.empty()) return true;
  for (const std::string_view word : {"both ", "either ", "neither ", "all of ", "only "})
    if (before.ends_with(word)) return true;
  return false;
}

}  // namespace

bool speaks_of_letters(std::string_view text) {
  std::string plain;
  for (const char c : text)
    if (c != '(' && c != ')') plain += c;
  for (const std::string_view joint :
       {" and ", " or ", " nor ", " & ", " and/or ", ", and ", ", or ", ", nor "}) {
    for (size_t at = plain.find(joint); at != std::string::npos; at = plain.find(joint, at + 1)) {
      const size_t after = at + joint.size();
      if (at == 0 || after >= plain.size()) continue;
      const char l = plain[at - 1], r = plain[after];
      const bool alone = (at == 1 || !is_word(plain[at - 2])) &&
                         (after + 1 == plain.size() || !is_word(plain[after + 1]));
      if (!alone) continue;
      if (l >= 'A' && l <= 'J' && r >= 'A' && r <= 'J') return true;
      // "a and c" may be coefficients; "both a and b" and an option that begins so are options.
      if (l >= 'a' && l <= 'j' && r >= 'a' && r <= 'j' && begins_list(plain, at - 1)) return true;
    }
  }
  return false;
}

bool order_is_free(const datasets::Sample& s) {
  return s.choices.size() >= 2 &&
         std::none_of(s.choices.begin(), s.choices.end(),
                      [](const std::string& c) { return speaks_of_others(c); });
}

datasets::Sample with_options_rotated(const datasets::Sample& s, int by) {
  assert(by >= 0 && !s.choices.empty());
  datasets::Sample out = s;
  const size_t n = s.choices.size();
  const auto place = [&](size_t i) { return (i + static_cast<size_t>(by)) % n; };
  for (size_t i = 0; i < n; ++i) out.choices[place(i)] = s.choices[i];
  if (s.answer >= 0) out.answer = static_cast<int>(place(static_cast<size_t>(s.answer)));
  return out;
}

}  // namespace tasks
