#include "tasks/answer_match.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tests/tasks/golden.h"

namespace tasks {
namespace {

using nlohmann::json;

json as_json(const std::optional<std::string_view>& answer) {
  return answer ? json(std::string(*answer)) : json(nullptr);
}

// golden/make_answer_match.py: Python's re over made-up texts.
TEST(AnswerMatch, RulesAgreeWithPythonsRegularExpressions) {
  const json rows = read_golden("answer_match.json", "rows");
  EXPECT_GT(rows.size(), 200u);
  for (const json& row : rows) {
    const std::string text = row["text"];
    EXPECT_EQ(as_json(gsm_strict_answer(text)), row["strict"]) << text;
    EXPECT_EQ(as_json(gsm_flexible_answer(text)), row["flexible"]) << text;
    EXPECT_EQ(as_json(gsm_plus_answer(text)), row["plus"]) << text;
    EXPECT_EQ(as_json(bbh_answer(text)), row["answer_is"]) << text;
    EXPECT_EQ(gsm_normalised(text), row["normalised"]) << text;
  }
}

TEST(AnswerMatch, NumbersAreTheSameByValueAndWithoutATolerance) {
  for (const auto& [a, b] : {std::pair{"4.330", "4.33"},
                             {"-0012.50", "-12.5"},
                             {"4/8", "0.5"},
                             {"5/8", "0.625"},
                             {"12.", "12"},
                             {".5", "1/2"},
                             {"0", "-0"},
                             {"x", "x"},
                             {"1234567890123456789", "1234567890123456789"}})
    EXPECT_TRUE(same_number(a, b) && same_number(b, a)) << a << " " << b;
  for (const auto& [a, b] : {std::pair{"4.33", "4.3333"},
                             {"1/3", "0.333333"},
                             {"5", "-5"},
                             {"", "0"},
                             {".", "0"},
                             {"-", "0"},
                             {"1/0", "1/0."},
                             {"1/", "1"},
                             {"1.2.3", "1.2"},
                             {"1/2/3", "1/6"},
                             {"1e3", "1000"},
                             {"None", "0"},
                             {"1234567890123456789", "1234567890123456789.0"}})
    EXPECT_FALSE(same_number(a, b) || same_number(b, a)) << a << " " << b;
  // The largest numbers that are compared by value.
  EXPECT_TRUE(same_number("0.0000000000001", "1/10000000000000"));
  EXPECT_FALSE(same_number("9999999999999999", "1/99999999999999"));
}

bool is_right(MatchRule rule, std::string_view text, std::string_view target, bool is_cut = false) {
  return match_answer(rule, text, is_cut, target).is_right;
}

TEST(AnswerMatch, StrictAndFlexibleDifferWhereTheMarkIsMissingOrIsNotLast) {
  EXPECT_TRUE(is_right(MatchRule::gsm_strict, "So 18.\n#### 1,018.\nQ: 3", "1018"));
  EXPECT_FALSE(is_right(MatchRule::gsm_flexible, "So 18.\n#### 1,018.\nQ: 3", "1018"));
  EXPECT_FALSE(is_right(MatchRule::gsm_strict, "It is $18.", "18"));
  EXPECT_TRUE(is_right(MatchRule::gsm_flexible, "It is $18.", "18"));
  // As lm-eval: by letters, not by value.
  EXPECT_FALSE(is_right(MatchRule::gsm_strict, "#### 18.00", "18"));
  EXPECT_FALSE(is_right(MatchRule::gsm_strict, "", ""));
}

TEST(AnswerMatch, GsmPlusComparesValuesAndNoNumberIsRightWhereNoneIsAskedFor) {
  EXPECT_TRUE(is_right(MatchRule::gsm_plus, "#### 18.00", "18"));
  EXPECT_TRUE(is_right(MatchRule::gsm_plus, "#### 10/16.", "5/8"));
  EXPECT_FALSE(is_right(MatchRule::gsm_plus, "#### 5", "5/8"));
  EXPECT_TRUE(is_right(MatchRule::gsm_plus, "It cannot be told from 3 and 4.", "None"));
  EXPECT_TRUE(is_right(MatchRule::gsm_plus, "#### None", "None"));
  EXPECT_FALSE(is_right(MatchRule::gsm_plus, "#### 7", "None"));
  EXPECT_FALSE(is_right(MatchRule::gsm_plus, " \n", "None"));
  EXPECT_FALSE(is_right(MatchRule::gsm_plus, "3 and 4 and", "None", true));
  EXPECT_FALSE(is_right(MatchRule::gsm_plus, "No number.", "7"));
}

TEST(AnswerMatch, AnswerIsIsTheRestOfTheLineButItsLastCharacter) {
  EXPECT_TRUE(is_right(MatchRule::answer_is, "So the answer is (B).\n\nMore", "(B)"));
  EXPECT_TRUE(is_right(MatchRule::answer_is, "the answer is ] >.", "] >"));
  EXPECT_FALSE(is_right(MatchRule::answer_is, "the answer is (B)", "(B)"));  // as lm-eval
  EXPECT_FALSE(is_right(MatchRule::answer_is, "the answer is yes.", "Yes"));
  EXPECT_FALSE(is_right(MatchRule::answer_is, "the answer is", ""));
  // Bytes that are no UTF-8 are cut without reading past them.
  EXPECT_EQ(bbh_answer("the answer is a\x80\xBF"), "");
  EXPECT_EQ(bbh_answer("the answer is \x80"), "");
}

}  // namespace
}  // namespace tasks
