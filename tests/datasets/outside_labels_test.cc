// Labels of two public models on MMLU: read strictly, by the ids of the questions.
#include "datasets/outside_labels.h"

#include <gmock/gmock.h>

#include "datasets/catalog.h"
#include "datasets/data_error.h"

namespace datasets {
namespace {

using testing::HasSubstr;

std::string error(const std::string& bytes, OutsideLabels labels = {}) {
  try {
    parse_outside_csv(bytes, "mmlu_x.csv", "x", &labels);
  } catch (const DataError& e) {
    return e.what();
  }
  return "";
}

TEST(OutsideLabels, SayHowManyModelsAnsweredRight) {
  OutsideLabels labels;
  parse_outside_csv(
      "prompt,weak,strong\na,True,True\n\"b\nc\",False,True\nd,True,False\ne,False,False\n",
      "mmlu_x.csv", "x", &labels);
  EXPECT_EQ(labels.models, (std::vector<std::string>{"weak", "strong"}));
  EXPECT_EQ(labels.of_sample, (std::map<std::string, OutsideDifficulty>{
                                  {"mmlu/x/test/0", OutsideDifficulty::both_right},
                                  {"mmlu/x/test/1", OutsideDifficulty::one_right},
                                  {"mmlu/x/test/2", OutsideDifficulty::one_right},
                                  {"mmlu/x/test/3", OutsideDifficulty::none_right}}));
}

TEST(OutsideLabels, OtherFilesAreErrorsWithTheirPlace) {
  EXPECT_THAT(error("question,weak,strong\n"), HasSubstr("mmlu_x.csv:1: columns"));
  EXPECT_THAT(error("prompt,weak\n"), HasSubstr("want prompt and two models"));
  EXPECT_THAT(error("prompt,weak,strong\na,True,yes\n"),
              HasSubstr("mmlu_x.csv:2: \"strong\" is \"yes\", want True or False"));
  EXPECT_THAT(error("prompt,weak,strong\na,True\n"), HasSubstr("2 fields, expected 3"));
  OutsideLabels other;
  other.models = {"weak", "another"};
  EXPECT_THAT(error("prompt,weak,strong\n", other), HasSubstr("in the files before"));
}

TEST(OutsideLabels, OfficialFilesLabelEveryQuestionOfMmlu) {
  const auto roots = default_search_roots();
  const auto labels = load_outside_labels(roots);
  if (!labels) GTEST_SKIP() << "no files of RouteLLM under MOEVAL_DATA";
  EXPECT_EQ(labels->origin, "official");
  EXPECT_EQ(labels->models, (std::vector<std::string>{"mistralai/Mixtral-8x7B-Instruct-v0.1",
                                                      "gpt-4-1106-preview"}));
  const auto mmlu = load("mmlu", roots);
  EXPECT_EQ(labels->of_sample.size(), mmlu.samples.size());
  double wrong = 0;
  for (const auto& s : mmlu.samples) {
    const auto found = labels->of_sample.find(s.id);
    ASSERT_NE(found, labels->of_sample.end()) << s.id;
    wrong += static_cast<double>(found->second);
  }
  // The two models' published shares, 68.08% and 80.58%.
  EXPECT_NEAR(wrong / static_cast<double>(mmlu.samples.size()), 2 - 0.6808 - 0.8058, 1e-4);
}

TEST(OutsideLabels, NoFilesAreNoError) { EXPECT_FALSE(load_outside_labels({})); }

}  // namespace
}  // namespace datasets
