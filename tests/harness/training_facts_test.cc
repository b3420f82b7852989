#include "harness/training_facts.h"

#include <gtest/gtest.h>

namespace {

using harness::question_mark;
using harness::training_facts;

TEST(TrainingFacts, AQuestionIsTheSameInEveryTaskThatAsksIt) {
  harness::SweepQuestion a, b;
  a.task = "mmlu";
  b.task = "mmlu_cloze";
  a.sample = b.sample = "mmlu/anatomy/test/3";
  const auto marks = harness::question_marks({a, b});
  ASSERT_EQ(marks.size(), 1u);
  // sha256 of the id, as sha256sum prints it.
  EXPECT_EQ(marks[0], "4367632dce11");
  EXPECT_EQ(marks[0], question_mark(a.sample));
}

TEST(TrainingFacts, AreReadFromAStoredPolicy) {
  const auto facts =
      training_facts(R"({"kind":"predictor","training":{"seen":["aa","bb"],"target_cost":0.5}})");
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->seen.size(), 2u);
  EXPECT_EQ(facts->target_cost, 0.5);
}

TEST(TrainingFacts, WhatTellsNothingIsNotTakenForNothingSeen) {
  for (const char* config : {"", "[]", "{}", R"({"training":7})", R"({"training":{}})",
                             R"({"training":{"seen":[]}})", R"({"training":{"seen":[1]}})"})
    EXPECT_FALSE(training_facts(config)) << config;
  for (const char* target : {"-3", "0", "1.5", "1e300", "\"half\""}) {
    const auto facts =
        training_facts(std::string(R"({"training":{"seen":["aa"],"target_cost":)") + target + "}}");
    ASSERT_TRUE(facts) << target;
    EXPECT_FALSE(facts->target_cost) << target;
  }
}

}  // namespace
