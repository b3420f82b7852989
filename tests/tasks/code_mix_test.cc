// Words of another language in a question: one language at a time, from a glossary that leads back.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tasks/shift.h"
#include "tasks/shift/glossary.h"
#include "tasks/shift/words.h"

namespace tasks {
namespace {

TEST(CodeMix, TheGlossaryIsOneToOne) {
  std::set<std::string_view> english;
  for (const auto& e : shift::glossary()) {
    EXPECT_TRUE(english.insert(e.english).second) << e.english;
    EXPECT_FALSE(shift::is_negation(e.english) || shift::is_number_word(e.english)) << e.english;
  }
  for (size_t i = 0; i < shift::kGlossaryLanguages.size(); ++i) {
    std::set<std::string_view> others;
    for (const auto& e : shift::glossary()) {
      EXPECT_TRUE(others.insert(e.other[i]).second) << e.other[i];
      EXPECT_FALSE(english.contains(e.other[i])) << e.other[i];
      EXPECT_EQ(e.other[i].find(' '), std::string_view::npos) << e.other[i];
      EXPECT_EQ(shift::translated(e.english, i), e.other[i]);
      EXPECT_EQ(shift::translated_back(e.other[i], i), e.english);
    }
  }
}

TEST(CodeMix, AQuestionStaysInOneAndKeepsTheOptionsWords) {
  datasets::Sample s;
  s.id = "mmlu/made_up/test/0";
  s.input = "Which theory of the heart describes the same disease in large cities?";
  s.answer = 2;
  s.choices = {"the theory", "of a disease", "that is", "known"};
  std::set<std::string> languages;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const auto out = apply_shift({ShiftFamily::code_mix, 3}, s, seed);
    ASSERT_TRUE(out.shifted) << out.why_not;
    ASSERT_EQ(out.shifted->edits.size(), 4u);  // heart, describes, same, large
    for (const Edit& e : out.shifted->edits) EXPECT_EQ(e.rule, out.shifted->edits[0].rule);
    languages.insert(out.shifted->edits[0].rule);
  }
  EXPECT_EQ(languages.size(), 3u);
  s.input = "Which argent disease is known to Mensch, amigo and others?";
  s.input += " Mujer, wo.";
  EXPECT_EQ(apply_shift({ShiftFamily::code_mix, 1}, s, 1).why_not,
            "it has German, Spanish and French words of its own");
}

}  // namespace
}  // namespace tasks
