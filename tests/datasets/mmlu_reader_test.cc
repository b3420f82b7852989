#include "datasets/mmlu_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "datasets/data_error.h"
#include "datasets/mmlu_categories.h"
#include "tests/datasets/temp_folder.h"

namespace datasets {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string mmlu_error(std::string_view csv) {
  try {
    parse_mmlu_csv(csv, "test/virology_test.csv", "mmlu", "virology", "test");
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

TEST(ParseMmluCsv, NamesSamplesByPlaceAndKeepsTextAsItIs) {
  const auto samples =
      parse_mmlu_csv("\" Q \nmore\n\",None, b ,,NA,D\nq,1,2,3,4,A", "f", "mmlu", "virology", "val");
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].id, "mmlu/virology/val/0");
  EXPECT_EQ(samples[0].subset, "virology");
  EXPECT_EQ(samples[0].split, "val");
  EXPECT_EQ(samples[0].input, " Q \nmore\n");
  EXPECT_THAT(samples[0].choices, ElementsAre("None", " b ", "", "NA"));
  EXPECT_EQ(samples[0].answer, 3);
  EXPECT_EQ(samples[1].id, "mmlu/virology/val/1");
  EXPECT_EQ(samples[1].answer, 0);
}

// The shape of val/college_medicine_val.csv, record 6: a reader that toggles on every quote joins
// the records that follow.
TEST(ParseMmluCsv, ABareQuoteAtTheEndOfAnUnquotedFieldSwallowsNoRecord) {
  const auto samples = parse_mmlu_csv(
      "before,1,2,3,4,A\nhe said so\",1,2,3,4,B\n\"after, quoted\",1,2,3,4,C\nlast,1,2,3,4,D\n",
      "f", "mmlu", "college_medicine", "val");
  ASSERT_EQ(samples.size(), 4u);
  EXPECT_EQ(samples[1].input, "he said so\"");
  EXPECT_EQ(samples[2].input, "after, quoted");
}

TEST(ParseMmluCsv, NamesLineBothCountsAndHowManyRecordsAreBad) {
  EXPECT_EQ(mmlu_error("q,1,2,3,4,A\n\"q\n2\",1,2,3,4,B\nq,1,2,3,A\nq,1,2,3,4,5,A\n"),
            "test/virology_test.csv:4: 5 fields, expected 6 (2 bad of 4 records)");
  EXPECT_THAT(mmlu_error("q,1,2,3,4,A\n\n"), HasSubstr(":2: 1 fields, expected 6"));
}

TEST(ParseMmluCsv, RefusesAnswersOutsideAToDAndEmptyQuestions) {
  EXPECT_THAT(mmlu_error("q,1,2,3,4,E\n"),
              HasSubstr(":1: answer is \"E\", expected one of A, B, C, D"));
  EXPECT_THAT(mmlu_error("q,1,2,3,4,a\n"), HasSubstr("answer is \"a\""));
  EXPECT_THAT(mmlu_error("q,1,2,3,4,\n"), HasSubstr("answer is \"\""));
  EXPECT_THAT(mmlu_error("q,1,2,3,4,A \n"), HasSubstr("answer is \"A \""));
  EXPECT_THAT(mmlu_error("q,1,2,3,4,\x1b[31m\n"), HasSubstr("answer is \"\\x1b[31m\""));
  EXPECT_THAT(mmlu_error(",1,2,3,4,A\n"), HasSubstr("the question is empty"));
}

TEST(ParseMmluCsv, TellsTheHubsHeaderAndIndexFormFromTheOriginal) {
  EXPECT_THAT(mmlu_error("question,subject,choices,answer\n"),
              HasSubstr(":1: 4 fields, expected 6"));
  EXPECT_THAT(mmlu_error("q,1,2,3,4,2\n"), HasSubstr("answer is \"2\""));
}

TEST(FindMmluFolder, TakesTheFolderItselfOrOneAbove) {
  for (const char* under : {"", "mmlu", "data", "mmlu/data"}) {
    TempFolder t;
    t.write(std::filesystem::path(under) / "test" / "virology_test.csv", "q,1,2,3,4,A\n");
    const auto found = find_mmlu_folder(t.path());
    ASSERT_TRUE(found) << under;
    EXPECT_TRUE(std::filesystem::equivalent(*found, t.path() / under)) << under;
  }
  TempFolder nothing;
  nothing.write("test/notes.txt", "x");
  EXPECT_FALSE(find_mmlu_folder(nothing.path()));
  EXPECT_FALSE(find_mmlu_folder(nothing.path() / "absent"));
}

TEST(ListMmluFiles, SortsBySubjectAndRefusesOddNames) {
  TempFolder t;
  for (const char* name : {"virology", "anatomy", "high_school_us_history"})
    t.write(std::string("dev/") + name + "_dev.csv", "x");
  t.write("dev/README.txt", "x");
  std::vector<std::string> subjects;
  for (const auto& f : list_mmlu_files(t.path(), "dev")) subjects.push_back(f.subject);
  EXPECT_THAT(subjects, ElementsAre("anatomy", "high_school_us_history", "virology"));
  EXPECT_THROW(list_mmlu_files(t.path(), "test"), DataError);
  t.write("dev/Big Name_dev.csv", "x");
  EXPECT_THROW(list_mmlu_files(t.path(), "dev"), DataError);
}

TEST(MmluCategories, AssignsFiftySevenSubjectsAsPublished) {
  std::map<MmluCategory, int> original, lm_eval;
  for (const MmluSubject& s : mmlu_subjects()) {
    ++original[s.original];
    ++lm_eval[s.lm_eval];
    if (s.original != s.lm_eval) {
      EXPECT_EQ(s.name, "anatomy");
    }
  }
  using C = MmluCategory;
  EXPECT_EQ(original,
            (std::map<C, int>{
                {C::stem, 18}, {C::humanities, 13}, {C::social_sciences, 12}, {C::other, 14}}));
  EXPECT_EQ(lm_eval,
            (std::map<C, int>{
                {C::stem, 19}, {C::humanities, 13}, {C::social_sciences, 12}, {C::other, 13}}));
}

TEST(MmluCategories, FindsEverySubjectByNameAndNoOther) {
  for (const MmluSubject& s : mmlu_subjects()) {
    EXPECT_EQ(mmlu_category(s.name, MmluCategoryMap::original), s.original) << s.name;
    EXPECT_EQ(mmlu_category(s.name, MmluCategoryMap::lm_eval), s.lm_eval) << s.name;
  }
  EXPECT_EQ(mmlu_category("anatomy", MmluCategoryMap::original), MmluCategory::other);
  EXPECT_EQ(mmlu_category("anatomy", MmluCategoryMap::lm_eval), MmluCategory::stem);
  EXPECT_FALSE(mmlu_category("alchemy", MmluCategoryMap::original));
  EXPECT_FALSE(mmlu_category("", MmluCategoryMap::original));
}

}  // namespace
}  // namespace datasets
