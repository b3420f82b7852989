#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>
#include <string>

#include "datasets/catalog.h"
#include "datasets/humaneval_reader.h"
#include "datasets/input_bytes.h"
#include "datasets/mmlu_categories.h"

namespace datasets {
namespace {

TEST(EmbeddedMmlu, HasFiveDemonstrationsAndTwentyQuestionsPerSubject) {
  const Dataset d = load("mmlu_embedded", {});
  EXPECT_EQ(d.name, "mmlu_embedded");
  EXPECT_EQ(d.origin, "embedded");
  std::map<std::string, int> dev, test;
  for (const Sample& s : d.demonstrations) ++dev[s.subset];
  for (const Sample& s : d.samples) ++test[s.subset];
  EXPECT_EQ(test.size(), 10u);
  for (const auto& [subject, n] : test) {
    EXPECT_EQ(n, 20) << subject;
    EXPECT_EQ(dev[subject], 5) << subject;
    EXPECT_TRUE(mmlu_category(subject, MmluCategoryMap::original)) << subject;
  }
  EXPECT_EQ(dev.size(), test.size());
  EXPECT_EQ(d.samples[0].id, "mmlu_embedded/anatomy/test/0");
  EXPECT_EQ(d.demonstrations[0].id, "mmlu_embedded/anatomy/dev/0");
}

TEST(EmbeddedMmlu, CoversAllFourCategories) {
  std::set<MmluCategory> categories;
  for (const Sample& s : load("mmlu_embedded", {}).samples)
    categories.insert(*mmlu_category(s.subset, MmluCategoryMap::original));
  EXPECT_EQ(categories.size(), 4u);
}

TEST(EmbeddedMmlu, UsesEachAnswerLetterEquallyOftenInEverySubject) {
  std::map<std::string, std::array<int, 4>> letters;
  for (const Sample& s : load("mmlu_embedded", {}).samples)
    ++letters[s.subset].at(static_cast<size_t>(s.answer));
  for (const auto& [subject, n] : letters)
    EXPECT_EQ(n, (std::array<int, 4>{5, 5, 5, 5})) << subject;
}

TEST(EmbeddedMmlu, RepeatsNoQuestionAndNoOption) {
  const Dataset d = load("mmlu_embedded", {});
  std::set<std::string> questions;
  for (const auto* part : {&d.samples, &d.demonstrations})
    for (const Sample& s : *part) {
      EXPECT_TRUE(questions.insert(s.input).second) << s.id << ": " << s.input;
      EXPECT_EQ(std::set<std::string>(s.choices.begin(), s.choices.end()).size(), 4u) << s.id;
      for (const std::string& c : s.choices) EXPECT_FALSE(c.empty()) << s.id;
    }
  EXPECT_EQ(questions.size(), 250u);
}

TEST(EmbeddedMmlu, DoesNotGiveTheAnswerAwayByLength) {
  const Dataset d = load("mmlu_embedded", {});
  int longest = 0;
  for (const Sample& s : d.samples) {
    size_t wrong = 0;
    for (size_t i = 0; i < 4; ++i)
      if (static_cast<int>(i) != s.answer) wrong = std::max(wrong, s.choices[i].size());
    longest += s.choices[static_cast<size_t>(s.answer)].size() > wrong;
  }
  EXPECT_LE(longest, static_cast<int>(d.samples.size()) * 3 / 10);
}

TEST(EmbeddedMmlu, LoadsItsDevSplitButHasNoVal) {
  const Dataset dev = load("mmlu_embedded", {}, {.split = "dev"});
  EXPECT_EQ(dev.samples.size(), 50u);
  EXPECT_EQ(dev.demonstrations.size(), 50u);
}

TEST(EmbeddedHumanEval, HasNumberedProblemsWithWholeFields) {
  const Dataset d = load("humaneval_embedded", {});
  EXPECT_EQ(d.origin, "embedded");
  ASSERT_EQ(d.samples.size(), 24u);
  std::set<std::string> prompts;
  for (size_t i = 0; i < d.samples.size(); ++i) {
    const Sample& s = d.samples[i];
    EXPECT_EQ(s.id, fmt::format("Embedded/{}", i));
    EXPECT_TRUE(prompts.insert(s.input).second);
    EXPECT_TRUE(s.input.ends_with("\"\"\"\n")) << s.id;
    EXPECT_NE(s.input.find("def " + s.entry_point + "("), std::string::npos) << s.id;
    EXPECT_TRUE(s.reference.starts_with("    ")) << s.id;
    EXPECT_NE(s.test.find("def check(candidate):\n"), std::string::npos) << s.id;
    EXPECT_NE(s.test.find("METADATA"), std::string::npos) << s.id;
    EXPECT_TRUE(s.choices.empty());
    EXPECT_EQ(s.answer, -1);
  }
}

TEST(EmbeddedHumanEval, HasOnePlantedWrongCompletionPerProblem) {
  const std::string file =
      MOEVAL_SOURCE_DIR "/tests/datasets/golden/embedded_wrong_completions.jsonl";
  const auto wrong = parse_completions(read_file(file), file);
  const Dataset d = load("humaneval_embedded", {});
  ASSERT_EQ(wrong.size(), d.samples.size());
  for (size_t i = 0; i < wrong.size(); ++i) {
    EXPECT_EQ(wrong[i].task_id, d.samples[i].id);
    EXPECT_NE(wrong[i].completion, d.samples[i].reference);
  }
}

}  // namespace
}  // namespace datasets
