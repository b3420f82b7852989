#include "datasets/cmmlu_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "datasets/catalog.h"
#include "datasets/data_error.h"
#include "datasets/manifest.h"
#include "tests/datasets/temp_folder.h"

namespace datasets {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kCmmluHeader = ",Question,A,B,C,D,Answer\n";

std::string cmmlu_error(const std::string& csv) {
  try {
    parse_cmmlu_csv(csv, "test/arts.csv", "arts", "test");
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

TEST(ParseCmmluCsv, NamesSamplesByPlaceAndKeepsTextAsItIs) {
  const auto samples = parse_cmmlu_csv(
      kCmmluHeader + "0,\" 问,题\",甲,NA, 乙 ,None,D\r\n1,q,1,2,3,4,A", "f", "arts", "dev");
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].id, "cmmlu/arts/dev/0");
  EXPECT_EQ(samples[0].subset, "arts");
  EXPECT_EQ(samples[0].split, "dev");
  EXPECT_EQ(samples[0].input, " 问,题");
  EXPECT_THAT(samples[0].choices, ElementsAre("甲", "NA", " 乙 ", "None"));
  EXPECT_EQ(samples[0].answer, 3);
  EXPECT_EQ(samples[1].id, "cmmlu/arts/dev/1");
}

TEST(ParseCmmluCsv, ColumnsGoByName) {
  const auto samples = parse_cmmlu_csv("Answer,D,C,B,A,Question,\nB,4,3,2,1,q,0\n", "f", "x", "t");
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].input, "q");
  EXPECT_THAT(samples[0].choices, ElementsAre("1", "2", "3", "4"));
  EXPECT_EQ(samples[0].answer, 1);
}

TEST(ParseCmmluCsv, RefusesWhatItCannotReadAndNamesTheLine) {
  EXPECT_EQ(cmmlu_error("q,1,2,3,4,A\n"), "test/arts.csv:1: no column without a name");
  EXPECT_EQ(cmmlu_error(",Question,A,B,C,Answer\n0,q,1,2,3,A\n"), "test/arts.csv:1: no column D");
  EXPECT_EQ(cmmlu_error(",Question,A,A,B,C,D,Answer\n"), "test/arts.csv:1: more than one column A");
  EXPECT_EQ(cmmlu_error(kCmmluHeader + "0,q,1,2,3,4,A\n2,q,1,2,3,4,A\n"),
            "test/arts.csv:3: row number is \"2\", expected 1");
  EXPECT_EQ(cmmlu_error(kCmmluHeader + "0,q,1,2,3,A\n"),
            "test/arts.csv:2: 6 fields, the header has 7");
  EXPECT_THAT(cmmlu_error(kCmmluHeader + "0,,1,2,3,4,A\n"), HasSubstr(":2: the question is empty"));
  EXPECT_THAT(cmmlu_error(kCmmluHeader + "0,q,1,2,,4,A\n"), HasSubstr(":2: the option C is empty"));
  for (const char* answer : {"E", "a", "AB", "", "0"})
    EXPECT_THAT(cmmlu_error(kCmmluHeader + "0,q,1,2,3,4," + answer + "\n"),
                HasSubstr(std::string(":2: answer is \"") + answer + "\", expected one of A, B"));
}

TEST(CmmluSubjectNames, NameEverySubjectOfTheManifest) {
  EXPECT_EQ(cmmlu_subject_names().size(), 67u);
  for (const PinnedFile& pin : find_pinned("cmmlu")->files)
    EXPECT_TRUE(cmmlu_subject_names().contains(std::filesystem::path(pin.path).stem().string()))
        << pin.path;
}

TEST(LoadCmmlu, IsPinnedFileByFileAndTakesPartOfItOnlyWhenAllowed) {
  TempFolder t;
  const auto arts = t.write("cmmlu/test/arts.csv", kCmmluHeader + "0,q,1,2,3,4,B\n");
  t.write("cmmlu/dev/arts.csv", kCmmluHeader + "0,d,1,2,3,4,C\n");
  t.write("cmmlu/test/of_my_own.csv", "not looked at");
  const auto error_of_load = [&](const LoadOptions& options) -> std::string {
    try {
      load("cmmlu", {t.path()}, options);
    } catch (const DataError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(error_of_load({}),
              HasSubstr("dev/agronomy.csv: missing, the manifest of cmmlu lists it"));
  EXPECT_THAT(error_of_load({.split = "dev"}), HasSubstr("cmmlu has no split 'dev', only test"));
  const Dataset d = load("cmmlu", {t.path()}, {.allow_unverified = true});
  EXPECT_EQ(d.origin, "unverified");
  ASSERT_EQ(d.samples.size(), 1u);
  EXPECT_EQ(d.samples[0].id, "cmmlu/arts/test/0");
  ASSERT_EQ(d.demonstrations.size(), 1u);
  EXPECT_EQ(d.subject_names.at("arts"), "艺术学");
  std::filesystem::remove_all(t.path() / "cmmlu");
  EXPECT_THAT(error_of_load({}), HasSubstr("data set cmmlu not found in"));
}

TEST(OfficialChoiceSets, CmmluHasItsPublishedCounts) {
  const auto roots = default_search_roots();
  if (roots.empty()) GTEST_SKIP() << "MOEVAL_DATA is not set: no official data";
  const Dataset d = load("cmmlu", roots, {.require_official = true});
  EXPECT_EQ(d.licence, "CC BY-NC-SA 4.0");
  ASSERT_EQ(d.samples.size(), 11582u);
  ASSERT_EQ(d.demonstrations.size(), 335u);
  EXPECT_EQ(d.samples.front().id, "cmmlu/agronomy/test/0");
  EXPECT_EQ(d.samples.back().id, "cmmlu/world_religions/test/159");
  std::map<std::string, int64_t> rows;
  for (const auto* list : {&d.samples, &d.demonstrations})
    for (const Sample& s : *list) ++rows[s.split + "/" + s.subset + ".csv"];
  EXPECT_EQ(rows.size(), 134u);
  for (const auto& [path, n] : rows) EXPECT_EQ(n, find_pinned("cmmlu")->find(path)->rows) << path;
  for (const auto& [path, n] : rows)
    if (path.starts_with("dev/")) {
      EXPECT_EQ(n, 5) << path;
    }
}

}  // namespace
}  // namespace datasets
