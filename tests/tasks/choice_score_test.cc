#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tasks/task.h"

namespace tasks {
namespace {

datasets::Sample sample(std::vector<std::string> choices, int answer) {
  datasets::Sample s;
  s.id = "made-up";
  s.subset = "astronomy";
  s.input = "Which?";
  s.choices = std::move(choices);
  s.answer = answer;
  return s;
}

Answer answer(std::vector<double> logprobs) {
  Answer a;
  for (const double x : logprobs) a.options.push_back({x, 1});
  return a;
}

const std::vector<std::string> kLetters = {"a", "b", "c", "d"};

TEST(ChoiceScore, TakesTheLikeliestLetter) {
  const Score s = make_task("mmlu")->score(sample(kLetters, 2), answer({-4, -3, -1, -2}), nullptr);
  EXPECT_EQ(s.state, Score::State::graded);
  EXPECT_EQ(s.verdict, Verdict::passed);
  EXPECT_EQ(s.value, 1);
  EXPECT_EQ(s.extracted, "C");
  EXPECT_DOUBLE_EQ(*s.gold_nll, 1);
  EXPECT_DOUBLE_EQ(*s.margin, 1);
  EXPECT_EQ(s.detail, "acc=1 gold=C");
}

TEST(ChoiceScore, WrongLetterHasANegativeMargin) {
  const Score s = make_task("mmlu")->score(sample(kLetters, 0), answer({-4, -3, -1, -2}), nullptr);
  EXPECT_EQ(s.verdict, Verdict::wrong);
  EXPECT_EQ(s.value, 0);
  EXPECT_DOUBLE_EQ(*s.gold_nll, 4);
  EXPECT_DOUBLE_EQ(*s.margin, -3);
}

TEST(ChoiceScore, TiesGoToTheFirstLetter) {
  const auto task = make_task("mmlu");
  EXPECT_EQ(task->score(sample(kLetters, 1), answer({-2, -1, -1, -1}), nullptr).extracted, "B");
  EXPECT_EQ(task->score(sample(kLetters, 3), answer({-1, -1, -1, -1}), nullptr).extracted, "A");
}

// Per character the second option wins (-5/10 over -2/2), by plain sum the first.
TEST(ChoiceScore, ClozeDividesByCharactersAndLogsThePlainChoiceToo) {
  const auto task = make_task("mmlu_cloze");
  EXPECT_EQ(task->metric(), "acc_norm");
  const Score s =
      task->score(sample({"ab", "abcdefghij", "ab", "ab"}, 1), answer({-2, -5, -9, -9}), nullptr);
  EXPECT_EQ(s.value, 1);
  EXPECT_EQ(s.extracted, "B");
  EXPECT_DOUBLE_EQ(*s.gold_nll, 5);
  EXPECT_DOUBLE_EQ(*s.margin, 0.5);
  EXPECT_EQ(s.detail, "acc=0 acc_norm=1 gold=B");
}

TEST(ChoiceScore, CharactersAreCodePointsNotBytes) {
  // Four two-byte letters: per character -1, per byte -0.5; the other option has -0.8 either way.
  const Score s = make_task("mmlu_cloze")
                      ->score(sample({"\u00e9\u00e9\u00e9\u00e9", "abcde", "z", "z"}, 0),
                              answer({-4, -4, -9, -9}), nullptr);
  EXPECT_EQ(s.extracted, "B");
}

TEST(ChoiceScore, AnEmptyOptionIsNeverChosenByLength) {
  const Score s = make_task("mmlu_cloze")
                      ->score(sample({"", "x", "y", "z"}, 0), answer({-1, -2, -3, -4}), nullptr);
  EXPECT_EQ(s.extracted, "B");
  EXPECT_FALSE(s.margin.has_value());
}

TEST(ChoiceScore, TooLongIsGradedAsWrong) {
  Answer a;
  a.status = Answer::Status::too_long;
  const Score s = make_task("mmlu")->score(sample(kLetters, 0), a, nullptr);
  EXPECT_EQ(s.state, Score::State::graded);
  EXPECT_EQ(s.verdict, Verdict::too_long);
  EXPECT_EQ(s.value, 0);
  EXPECT_FALSE(s.gold_nll.has_value());
}

TEST(ChoiceScore, ScoresThatAreNotFiniteAreWrongAndNeverStored) {
  const auto task = make_task("mmlu");
  const double inf = std::numeric_limits<double>::infinity();
  for (const double bad : {inf, -inf, std::nan("")}) {
    const Score s = task->score(sample(kLetters, 0), answer({-1, bad, -2, -3}), nullptr);
    EXPECT_EQ(s.state, Score::State::graded);
    EXPECT_EQ(s.verdict, Verdict::wrong);
    EXPECT_EQ(s.value, 0);
    EXPECT_FALSE(s.gold_nll.has_value());
    EXPECT_FALSE(s.margin.has_value());
    EXPECT_EQ(s.detail, "the score of option B is not finite");
  }
}

TEST(ChoiceScore, CancelledOrIncompleteAnswersAreUnscored) {
  const auto task = make_task("mmlu");
  Answer cancelled;
  cancelled.status = Answer::Status::cancelled;
  const Score a = task->score(sample(kLetters, 0), cancelled, nullptr);
  EXPECT_EQ(a.state, Score::State::unscored);
  EXPECT_EQ(a.verdict, Verdict::not_run);
  const Score b = task->score(sample(kLetters, 0), answer({-1, -2}), nullptr);
  EXPECT_EQ(b.state, Score::State::unscored);
  EXPECT_EQ(b.verdict, Verdict::infra);
  EXPECT_EQ(b.detail, "2 option scores for 4 choices, key 0");
}

}  // namespace
}  // namespace tasks
