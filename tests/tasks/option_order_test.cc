// Rotated options ask the same; options that speak of one another keep their order.
#include "tasks/option_order.h"

#include <gtest/gtest.h>

#include <set>

#include "tasks/task.h"

namespace {

using datasets::Sample;

Sample sample(std::vector<std::string> choices, int answer = 1) {
  Sample s;
  s.id = "mmlu/virology/test/0";
  s.subset = "virology";
  s.input = "Which?";
  s.choices = std::move(choices);
  s.answer = answer;
  return s;
}

TEST(OptionOrder, RotationMovesTheKeyWithItsChoice) {
  const Sample s = sample({"w", "x", "y", "z"});
  for (int by = 0; by < 4; ++by) {
    const Sample r = tasks::with_options_rotated(s, by);
    EXPECT_EQ(r.choices[static_cast<size_t>(r.answer)], "x") << by;
    EXPECT_EQ(r.answer, (1 + by) % 4);
    EXPECT_EQ(tasks::with_options_rotated(r, 4 - by).choices, s.choices);
    EXPECT_EQ(r.id, s.id);
  }
  EXPECT_EQ(tasks::with_options_rotated(s, 1).choices,
            (std::vector<std::string>{"z", "w", "x", "y"}));
}

TEST(OptionOrder, ChoicesThatSpeakOfOthersKeepTheirOrder) {
  EXPECT_TRUE(tasks::order_is_free(sample({"red", "green", "blue and gold", "grey"})));
  EXPECT_TRUE(tasks::order_is_free(sample({"Vitamin A and Dairy", "B", "C", "D"})));
  EXPECT_TRUE(tasks::order_is_free(sample({"the a and c coefficients", "x", "y", "z"})));
  EXPECT_TRUE(tasks::order_is_free(sample({"hepatitis A or hepatitis B", "x", "y", "z"})));
  for (const char* last : {"All of the above", "none of these", "Both A and B", "A or C only",
                           "(B) and (D)", "A & C", "Neither", "All of the Above.", "A, B, and C",
                           "both a and b", "neither a nor b.", "a, b, and c", "A and/or B"})
    EXPECT_FALSE(tasks::order_is_free(sample({"x", "y", "z", last}))) << last;
  EXPECT_FALSE(tasks::order_is_free(sample({"only one"}, 0)));
}

TEST(OptionOrder, OnlyTasksThatShowLettersRotate) {
  EXPECT_TRUE(tasks::make_task("mmlu")->has_lettered_options());
  EXPECT_TRUE(tasks::make_task("mmlu_lmeval")->has_lettered_options());
  EXPECT_FALSE(tasks::make_task("mmlu_cloze")->has_lettered_options());
  EXPECT_FALSE(tasks::make_task("humaneval")->has_lettered_options());
}

TEST(Wordings, AskTheSameQuestionInOtherWords) {
  const auto task = tasks::make_task("mmlu_cloze");
  ASSERT_EQ(task->n_wordings(), 3);
  EXPECT_EQ(tasks::make_task("mmlu")->n_wordings(), 1);
  const Sample s = sample({"w", "x", "y", "z"});
  const datasets::Dataset none;
  std::set<std::string> prompts;
  for (int w = 0; w < 3; ++w) {
    const auto q = task->query(s, none, w);
    EXPECT_EQ(q.item.substr(q.question.first, q.question.second - q.question.first), "Which?") << w;
    EXPECT_EQ(q.options, task->query(s, none).options);
    EXPECT_NE(q.prompt().find("virology"), std::string::npos);
    prompts.insert(q.prompt());
  }
  EXPECT_EQ(prompts.size(), 3u);
  EXPECT_EQ(task->query(s, none).prompt(), task->query(s, none, 0).prompt());
}

}  // namespace
