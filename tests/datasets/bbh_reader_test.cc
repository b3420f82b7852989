#include "datasets/bbh_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "datasets/catalog.h"
#include "datasets/data_error.h"
#include "tests/datasets/temp_folder.h"

namespace datasets {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kBbhHead = "data. canary GUID 0-0\n-----\n";
const std::string kBbhPromptText =
    "Add.\n\nTwo paragraphs.\n\nQ: 1 + 1?\nOptions:\n(A) 2\nA: Let's think step by step.\nIt is "
    "two.\nSo the answer is (A).\n\nQ: 2 + 2?\nA: Let's think step by step. So the answer is 4.";
const std::string kBbhQuestions =
    R"j({"canary":"c","examples":[{"input":"a\nb","target":"(A)"},{"input":"c","target":"] >"}]})j";

std::string bbh_prompt_error(const std::string& text) {
  try {
    parse_bbh_prompt(text, "p.txt", "sums");
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

std::string bbh_error(const std::string& text) {
  try {
    parse_bbh(text, "t.json", "sums");
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

TEST(ParseBbh, ReadsQuestionsAndTargets) {
  const auto samples = parse_bbh(kBbhQuestions, "t", "sums");
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].id, "bbh/sums/0");
  EXPECT_EQ(samples[0].subset, "sums");
  EXPECT_EQ(samples[0].split, "test");
  EXPECT_EQ(samples[0].input, "a\nb");
  EXPECT_EQ(samples[0].target, "(A)");
  EXPECT_EQ(samples[1].target, "] >");
}

TEST(ParseBbh, RefusesOtherFormsAndNamesTheExample) {
  const auto list = [](const char* examples) {
    return bbh_error(fmt::format(R"({{"canary":"c","examples":{}}})", examples));
  };
  EXPECT_EQ(list(R"([{"input":"a","target":"b"},{"input":"a"}])"),
            "t.json: example 1: field \"target\" is missing");
  EXPECT_EQ(list(R"([{"input":1,"target":"b"}])"),
            "t.json: example 0: field \"input\" is no string");
  EXPECT_EQ(list(R"([{"input":"a","target":""}])"), "t.json: example 0: field \"target\" is empty");
  EXPECT_EQ(list(R"([{"input":"a","target":"b","x":1}])"),
            "t.json: example 0: has 3 fields, expected input and target");
  EXPECT_EQ(list("[5]"), "t.json: example 0: is no object");
  EXPECT_EQ(list("[]"), "t.json: field \"examples\" is empty");
  EXPECT_EQ(list("{}"), "t.json: field \"examples\" is a object, expected a array");
  EXPECT_EQ(bbh_error(R"({"examples":[]})"), "t.json: field \"canary\" is missing");
  EXPECT_EQ(bbh_error(kBbhQuestions + "\n" + kBbhQuestions),
            "t.json: 2 lines, expected one object");
  EXPECT_THAT(bbh_error("[1]"), HasSubstr("t.json:1:"));
}

TEST(ParseBbhPrompt, SplitsInstructionAndExamplesWithoutLosingAByte) {
  const BbhPrompt p = parse_bbh_prompt(kBbhHead + kBbhPromptText, "p", "sums");
  EXPECT_EQ(p.instruction, "Add.\n\nTwo paragraphs.");
  ASSERT_EQ(p.demonstrations.size(), 2u);
  const Sample& first = p.demonstrations[0];
  EXPECT_EQ(first.id, "bbh/sums/dev/0");
  EXPECT_EQ(first.subset, "sums");
  EXPECT_EQ(first.split, "dev");
  EXPECT_EQ(first.input, "1 + 1?\nOptions:\n(A) 2");
  EXPECT_EQ(first.reference, "\nIt is two.\nSo the answer is (A).");
  EXPECT_EQ(p.demonstrations[1].reference, " So the answer is 4.");
  std::string again = p.instruction;
  for (const Sample& s : p.demonstrations)
    again += "\n\nQ: " + s.input + std::string(kBbhThink) + s.reference;
  EXPECT_EQ(again, kBbhPromptText);
}

TEST(ParseBbhPrompt, RefusesOtherFormsAndNamesTheLine) {
  const std::string think(kBbhThink);
  EXPECT_EQ(bbh_prompt_error(kBbhPromptText), "p.txt:1: no canary on the first line");
  EXPECT_EQ(bbh_prompt_error("canary GUID 0\n" + kBbhPromptText),
            "p.txt:2: no line \"-----\" after the canary");
  EXPECT_EQ(bbh_prompt_error(kBbhHead + "Add."), "p.txt:3: no example: a blank line, then \"Q: \"");
  EXPECT_EQ(bbh_prompt_error(kBbhHead + "\n\nQ: 1" + think + "\n1"),
            "p.txt:3: no instruction before the first example");
  EXPECT_EQ(bbh_prompt_error(kBbhHead + "Add.\n\nQ: 1\nA: 1"),
            "p.txt:5: the example has no line that begins with \"A: Let's think step by step.\"");
  EXPECT_THAT(bbh_prompt_error(kBbhHead + "Add.\n\nQ: 1" + think + "\n1" + think + "\n1"),
              HasSubstr("p.txt:5: the example has two lines"));
  EXPECT_THAT(bbh_prompt_error(kBbhHead + "Add.\n\nQ: 1\n2" + think + "1"),
              HasSubstr("p.txt:7: the worked answer is \"1\""));
  EXPECT_EQ(bbh_prompt_error(kBbhHead + "Add.\n\nQ: " + think + "\n1"),
            "p.txt:5: the question is empty");
  EXPECT_EQ(bbh_prompt_error(kBbhHead + "Add.\r\n"),
            "p.txt:3: a carriage return, expected plain line ends");
  EXPECT_THAT(bbh_prompt_error(kBbhHead + "\xff"), HasSubstr("p.txt"));
}

TEST(LoadBbh, TakesTheTasksThatAreThereWhenAllowed) {
  TempFolder t;
  t.write("bbh/bbh/sums.json", kBbhQuestions);
  t.write("bbh/bbh/dates.json", kBbhQuestions);
  t.write("bbh/cot-prompts/sums.txt", kBbhHead + kBbhPromptText);
  const auto error = [&](const LoadOptions& options) -> std::string {
    try {
      load("bbh", {t.path()}, options);
    } catch (const DataError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(error({}), HasSubstr("bbh/boolean_expressions.json: missing, the manifest of bbh"));
  EXPECT_THAT(error({.allow_unverified = true}),
              HasSubstr("cot-prompts/dates.txt: missing; task dates needs it"));
  t.write("bbh/cot-prompts/dates.txt", kBbhHead + kBbhPromptText);
  // As a clone of the authors' repository: the root is the folder itself.
  for (const auto& root : {t.path(), t.path() / "bbh"}) {
    const Dataset d = load("bbh", {root}, {.allow_unverified = true});
    ASSERT_EQ(d.samples.size(), 4u);
    EXPECT_EQ(d.samples[0].id, "bbh/dates/0");
    EXPECT_EQ(d.demonstrations.size(), 4u);
    EXPECT_EQ(d.instructions.at("sums"), "Add.\n\nTwo paragraphs.");
    EXPECT_EQ(d.origin, "unverified");
  }
  t.write("bbh/bbh/No.json", "{}");
  EXPECT_THAT(error({.allow_unverified = true}), HasSubstr("\"No\" is no task name"));
  std::filesystem::remove_all(t.path() / "bbh/bbh");
  EXPECT_THAT(error({.allow_unverified = true}), HasSubstr("bbh/bbh: No such file"));
}

}  // namespace
}  // namespace datasets
