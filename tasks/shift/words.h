// Owns what a surface change may touch: words of prose, apart from the tokens that carry meaning
// letter by letter (numbers, names, negations, mathematics, what the options say). Internal to
// tasks/.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/sample.h"

namespace tasks::shift {

// A run of characters without white space.
struct Token {
  size_t begin = 0, end = 0;
  // Without punctuation around it. Free: may be changed.
  size_t core_begin = 0, core_end = 0;
  bool is_free = false;
  bool in_maths = false;  // between two dollar signs
  std::string_view core(std::string_view text) const {
    return text.substr(core_begin, core_end - core_begin);
  }
};

inline bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
inline bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
inline bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
inline bool is_letter(char c) { return is_lower(c) || is_upper(c); }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
std::string lower(std::string_view);

bool is_negation(std::string_view lower_case_word);
bool is_number_word(std::string_view lower_case_word);  // "seven", "third", "twice"

// Runs of letters, in lower case.
std::set<std::string> words_of(std::string_view text);
// Of all the options.
std::set<std::string> words_of_options(const datasets::Sample&);

// A token is free when it is one word of four or more lower-case ASCII letters, no negation, not in
// `kept`, and not within $...$.
std::vector<Token> tokens_of(std::string_view text, const std::set<std::string>& kept);

// Empty when every token that is not free is as it was and there are equally many tokens; else the
// first that is not.
std::string changed_token(std::string_view before, std::string_view after,
                          const std::set<std::string>& kept);

// Lines that begin with white space: code or a table, where white space may mean something.
bool has_indented_lines(std::string_view text);
// Indented lines, or signs of a program or pseudocode: its words are no language.
bool looks_like_program(std::string_view text);

}  // namespace tasks::shift
