// Owns the rules that take an answer out of a generated text and compare it with the one that is
// asked for: pure functions. The regular expressions are those of lm-evaluation-harness; they are
// written out by hand here, and tests hold them against Python's re.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tasks {

enum class MatchRule {
  gsm_strict,    // GSM8K "strict-match": the number after the first "#### "
  gsm_flexible,  // GSM8K "flexible-extract": the last number
  gsm_plus,      // gsm_strict with fractions, numbers by value, and the target "None"
  answer_is      // BBH "get-answer": what follows "the answer is "
};
std::string_view match_rule_name(MatchRule);  // with its version, "gsm_strict/1"

// First match of `#### (\-?[0-9\.\,]+)`.
std::optional<std::string_view> gsm_strict_answer(std::string_view text);
// Last match of `(-?[$0-9.,]{2,})|(-?[0-9]+)`.
std::optional<std::string_view> gsm_flexible_answer(std::string_view text);
// As gsm_strict_answer, with `/[0-9]+` behind it where it is there.
std::optional<std::string_view> gsm_plus_answer(std::string_view text);
// First match of `(?<=the answer is )(.*)(?=.)`, white space stripped: the rest of the line but for
// its last character, which is a full stop where all is well. Empty when the rest is one character.
std::optional<std::string_view> bbh_answer(std::string_view text);

// lm-eval's exact_match for GSM8K ignores case and, one after the other, `,` `\$` `(?s).*#### `
// `\.$`. Letter case of ASCII only: other letters are in no answer.
std::string gsm_normalised(std::string_view answer);
// The same number: -0012.50 and -12.5, 4/8 and 0.5. Exact, without a tolerance. Texts that are no
// such numbers, or longer than 16 characters, are the same when they are equal.
bool same_number(std::string_view a, std::string_view b);

struct Match {
  std::optional<std::string_view> answer;  // what the rule took out of the text
  bool is_right = false;
};
// By one rule. `is_cut`: the text ended at the limit of tokens. Where gsm_plus asks for "None",
// right is a finished text without a number after "#### ". The authors' script takes no "####" for
// "None" as well; it also takes phrases of refusal beside a number, and texts that are cut or
// empty.
Match match_answer(MatchRule, std::string_view text, bool is_cut, std::string_view target);

}  // namespace tasks
