#include "datasets/mmlu_pro_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "datasets/catalog.h"
#include "datasets/data_error.h"
#include "tests/datasets/gzip.h"

namespace datasets {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct ProRow {
  std::string id = "70", options = R"(["a","b","b"])", answer = "\"C\"", index = "2",
              category = "computer science", question = "q";
};

std::string pro_line(const ProRow& r = {}) {
  return fmt::format(
      R"({{"question_id":{},"question":"{}","options":{},"answer":{},"answer_index":{},)"
      R"("cot_content":"","category":"{}","src":"x"}})"
      "\n",
      r.id, r.question, r.options, r.answer, r.index, r.category);
}

std::string pro_error(const std::string& text) {
  try {
    parse_mmlu_pro(text, "p.jsonl");
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

TEST(ParseMmluPro, NamesSamplesByTheirQuestionId) {
  const std::string text =
      pro_line() + pro_line({.id = "9",
                             .options = R"(["1","2","3","4","5","6","7","8","9","x "])",
                             .answer = "\"J\"",
                             .index = "9",
                             .category = "law"});
  for (const std::string& bytes : {text, gzip(text)}) {
    const auto samples = parse_mmlu_pro(bytes, "p");
    ASSERT_EQ(samples.size(), 2u);
    EXPECT_EQ(samples[0].id, "mmlu_pro/70");
    EXPECT_EQ(samples[0].subset, "computer_science");
    EXPECT_EQ(samples[0].split, "test");
    EXPECT_EQ(samples[0].input, "q");
    EXPECT_THAT(samples[0].choices, ElementsAre("a", "b", "b"));
    EXPECT_EQ(samples[0].answer, 2);
    EXPECT_EQ(samples[1].id, "mmlu_pro/9");
    EXPECT_EQ(samples[1].choices.back(), "x ");
    EXPECT_EQ(samples[1].answer, 9);
  }
}

TEST(ParseMmluPro, TakesTheLetterOfTheOneRowWhoseKeysDiffer) {
  EXPECT_EQ(parse_mmlu_pro(pro_line({.id = "3983", .index = "1"}), "p").at(0).answer, 2);
  EXPECT_EQ(pro_error(pro_line({.id = "3983", .index = "0"})),
            "p.jsonl:1: answer is C (index 2), answer_index is 0 (1 bad of 1 lines)");
  EXPECT_THAT(pro_error(pro_line({.id = "3984", .index = "1"})), HasSubstr("answer_index is 1"));
}

TEST(ParseMmluPro, RefusesWhatItCannotReadAndNamesTheLine) {
  EXPECT_EQ(pro_error(pro_line() + pro_line({.id = "71"}) + pro_line()),
            "p.jsonl:3: question_id 70 is on line 1 already (1 bad of 3 lines)");
  for (const char* id : {"0", "-1", "1.5", "\"70\"", "99999999999"})
    EXPECT_THAT(pro_error(pro_line({.id = id})), HasSubstr("expected an integer from 1 on")) << id;
  EXPECT_THAT(pro_error(pro_line({.options = R"(["a","b"])"})),
              HasSubstr("2 options, expected 3 to 10"));
  EXPECT_THAT(pro_error(pro_line({.options = R"(["1","2","3","4","5","6","7","8","9","x","y"])"})),
              HasSubstr("11 options"));
  EXPECT_THAT(pro_error(pro_line({.options = R"(["a","",""])"})), HasSubstr("option 1 is empty"));
  EXPECT_THAT(pro_error(pro_line({.options = R"(["a",1,"c"])"})), HasSubstr("else than strings"));
  EXPECT_THAT(pro_error(pro_line({.options = R"("abc")"})), HasSubstr("expected an array"));
  EXPECT_THAT(pro_error(pro_line({.answer = "\"D\"", .index = "3"})),
              HasSubstr("answer is \"D\", expected a letter from A to C"));
  EXPECT_THAT(pro_error(pro_line({.answer = "\"c\""})), HasSubstr("answer is \"c\""));
  EXPECT_THAT(pro_error(pro_line({.answer = "2"})), HasSubstr("\"answer\" is a number"));
  EXPECT_THAT(pro_error(pro_line({.index = "\"2\""})), HasSubstr("expected an integer from 0 on"));
  EXPECT_THAT(pro_error(pro_line({.category = "../law"})), HasSubstr("category is \"../law\""));
  EXPECT_THAT(pro_error(pro_line({.question = ""})), HasSubstr("\"question\" is empty"));
  EXPECT_THAT(pro_error("{\"question_id\":70}"), HasSubstr("\"question\" is missing"));
}

TEST(OfficialChoiceSets, MmluProHasItsPublishedCountsAndQuirks) {
  const auto roots = default_search_roots();
  if (roots.empty()) GTEST_SKIP() << "MOEVAL_DATA is not set: no official data";
  const Dataset d = load("mmlu_pro", roots, {.require_official = true});
  EXPECT_EQ(d.origin, "official");
  ASSERT_EQ(d.samples.size(), 12032u);
  EXPECT_TRUE(d.demonstrations.empty());
  EXPECT_EQ(d.samples.front().id, "mmlu_pro/70");
  EXPECT_EQ(d.samples.back().id, "mmlu_pro/12256");
  std::map<size_t, int> options;
  std::map<std::string, int> categories;
  std::set<std::string> equal;
  for (const Sample& s : d.samples) {
    ++options[s.choices.size()];
    ++categories[s.subset];
    if (std::set<std::string>(s.choices.begin(), s.choices.end()).size() != s.choices.size())
      equal.insert(s.id);
    if (s.id == "mmlu_pro/3983") {
      EXPECT_EQ(s.answer, 2);
    }
  }
  EXPECT_EQ(options,
            (std::map<size_t, int>{
                {3, 20}, {4, 607}, {5, 52}, {6, 92}, {7, 158}, {8, 320}, {9, 801}, {10, 9982}}));
  EXPECT_EQ(categories.size(), 14u);
  EXPECT_EQ(categories["math"], 1351);
  EXPECT_EQ(categories["computer_science"], 410);
  EXPECT_EQ(equal, std::set<std::string>{"mmlu_pro/8584"});
}

}  // namespace
}  // namespace datasets
