#include "datasets/mmlu_redux_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "datasets/catalog.h"
#include "datasets/data_error.h"
#include "datasets/manifest.h"
#include "datasets/python_list.h"

namespace datasets {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> python_strings(std::string_view text) {
  std::vector<std::string> out;
  const std::string problem = read_python_strings(text, out);
  return problem.empty() ? out : std::vector<std::string>{"! " + problem};
}

TEST(ReadPythonStrings, ReadsBothQuotesBlanksAndEscapes) {
  EXPECT_THAT(python_strings("[]"), ElementsAre());
  EXPECT_THAT(python_strings("[ 'a','b' , \"it's\", '\"' ]"), ElementsAre("a", "b", "it's", "\""));
  EXPECT_THAT(python_strings(R"(['\\', '\'', "\"", '\n\t\r', '\xa0\x41', '\u6c34\u200b'])"),
              ElementsAre("\\", "'", "\"", "\n\t\r",
                          "\xC2\xA0"
                          "A",
                          "水\xE2\x80\x8B"));
  EXPECT_THAT(python_strings("['水, [x]', '']"), ElementsAre("水, [x]", ""));
}

TEST(ReadPythonStrings, RefusesEverythingElse) {
  const std::map<std::string, std::string> wrong = {
      {"", "byte 0: the text ends, expected ["},
      {"'a'", "byte 0: \"'a'\", expected ["},
      {"['a'", "byte 4: the text ends, expected , or ]"},
      {"['a' 'b']", "byte 5: \"'b']\", expected , or ]"},
      {"['a',]", "byte 5: \"]\", expected a quote"},
      {"[,]", "byte 1: \",]\", expected a quote"},
      {"[1]", "byte 1: \"1]\", expected a quote"},
      {"[b'a']", "byte 1: \"b'a']\", expected a quote"},
      {"['a'] ; import os", "byte 6: \"; import\", expected the end"},
      {"['a", "byte 3: the text ends, expected the end of a string"},
      {"['a\n']", "byte 3: \"\\x0a']\", expected the end of a string"},
      {"['''a''']", "byte 3: \"'a''']\", expected , or ]"},
      {R"(['\q'])", "byte 3: \"q']\", expected an escape"},
      {R"(['\x4'])", "byte 3: \"x4']\", expected an escape"},
      {R"(['\x00'])", "byte 3: \"x00']\", expected a character"},
      {R"(['\ud800'])", "byte 3: \"ud800']\", expected a character"},
      {"['\\", "byte 3: the text ends, expected an escape"},
  };
  for (const auto& [text, message] : wrong)
    EXPECT_THAT(python_strings(text), ElementsAre("! " + message)) << text;
}

constexpr const char* kReduxHeader =
    "question,choices,answer,error_type,source,correct_answer,potential_reason\r\n";
constexpr const char* kReduxChoices = R"("['a', ""b's"", 'c', 'd']")";

std::string redux_row(std::string_view error_type, std::string_view answer = "2",
                      std::string_view choices = kReduxChoices) {
  return fmt::format("q,{},{},{},s,,\r\n", choices, answer, error_type);
}

std::string redux_error(const std::string& csv) {
  try {
    parse_mmlu_redux_csv(csv, "mmlu_x.csv", "x");
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

std::vector<std::string> redux_ids(const std::string& csv) {
  std::vector<std::string> ids;
  for (const Sample& s : parse_mmlu_redux_csv(csv, "mmlu_x.csv", "x")) ids.push_back(s.id);
  return ids;
}

TEST(ParseMmluReduxCsv, KeepsWhatIsOkUnderItsRowInTheFile) {
  const std::string csv = kReduxHeader + redux_row("expert") + redux_row("ok") +
                          redux_row("wrong_groundtruth ", "0") + redux_row("OK ") +
                          redux_row("Bad Question Clarity") + redux_row("Ok", "3");
  EXPECT_THAT(redux_ids(csv), ElementsAre("mmlu_redux/x/1", "mmlu_redux/x/3", "mmlu_redux/x/5"));
  const Sample s = parse_mmlu_redux_csv(csv, "f", "x").at(0);
  EXPECT_EQ(s.subset, "x");
  EXPECT_EQ(s.split, "test");
  EXPECT_EQ(s.input, "q");
  EXPECT_THAT(s.choices, ElementsAre("a", "b's", "c", "d"));
  EXPECT_EQ(s.answer, 2);
}

TEST(ParseMmluReduxCsv, ColumnsGoByNameAndMayBePartedBySemicolons) {
  const auto samples = parse_mmlu_redux_csv(
      "question;choices;answer;error_type;source\nx, y;['1','2','3','4'];0;ok;s, t\n", "f", "x");
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].input, "x, y");
  EXPECT_THAT(samples[0].choices, ElementsAre("1", "2", "3", "4"));
  EXPECT_THAT(redux_ids("error_type,answer,choices,question,,\nok,1,\"['1','2','3','4']\",a;b,,"),
              ElementsAre("mmlu_redux/x/0"));
  // A semicolon in the text below a header with commas parts nothing, nor the other way round.
  EXPECT_THAT(redux_error("question;choices;answer;error_type\nx,['1'],0,ok\n"),
              HasSubstr(":2: 1 fields, the header has 4"));
}

TEST(ParseMmluReduxCsv, ReadsTheMacRomanQuoteAndNoOtherByteThatIsNoUtf8) {
  std::string csv = kReduxHeader + redux_row("ok");
  csv.replace(csv.find("\r\nq,") + 2, 1, "she\xD5s \xC3\xA9 \xD5\xB5 \xD5");
  EXPECT_EQ(parse_mmlu_redux_csv(csv, "f", "x").at(0).input,
            "she\xE2\x80\x99s \xC3\xA9 \xD5\xB5 \xE2\x80\x99");
  csv.replace(csv.find('\xD5'), 1, "\xD4");
  EXPECT_THAT(redux_error(csv), HasSubstr("mmlu_x.csv:2: byte 78: 0xd4 is not valid UTF-8 here"));
}

TEST(ParseMmluReduxCsv, RefusesWhatItCannotReadAndNamesTheLine) {
  EXPECT_EQ(redux_error("question,choices,answer\nq,c,1\n"), "mmlu_x.csv:1: no column error_type");
  EXPECT_EQ(redux_error("question,question,choices,answer,error_type\n"),
            "mmlu_x.csv:1: more than one column question");
  const auto row = [](const std::string& text) { return redux_error(kReduxHeader + text); };
  EXPECT_THAT(row(redux_row("okay")),
              HasSubstr(":2: error_type is \"okay\", expected one of ok, bad question clarity"));
  EXPECT_THAT(row(redux_row("")), HasSubstr("error_type is \"\""));
  for (const char* answer : {"4", "-1", "A", "", "1.0"})
    EXPECT_THAT(row(redux_row("ok", answer)),
                HasSubstr(fmt::format("answer is \"{}\", expected 0 to 3", answer)));
  EXPECT_THAT(row(redux_row("ok", "0", "\"['a', 'b', 'c']\"")),
              HasSubstr(":2: 3 choices, expected 4"));
  EXPECT_THAT(row(redux_row("expert", "0", "a")),
              HasSubstr(":2: choices: byte 0: \"a\", expected ["));
  EXPECT_THAT(row("q,a,1,ok\n"), HasSubstr(":2: 4 fields, the header has 7"));
  EXPECT_THAT(row(",\"['1','2','3','4']\",0,ok,,,\n"), HasSubstr(":2: the question is empty"));
}

TEST(OfficialChoiceSets, MmluReduxHasItsPublishedCountsAndQuirks) {
  const auto roots = default_search_roots();
  if (roots.empty()) GTEST_SKIP() << "MOEVAL_DATA is not set: no official data";
  const Dataset d = load("mmlu_redux", roots, {.require_official = true});
  EXPECT_EQ(d.origin, "official");
  ASSERT_EQ(d.samples.size(), 5330u);
  EXPECT_TRUE(d.demonstrations.empty());
  EXPECT_EQ(d.samples.front().id, "mmlu_redux/abstract_algebra/2");  // the two before are not ok
  EXPECT_EQ(d.samples.back().id, "mmlu_redux/world_religions/99");
  std::map<std::string, int64_t> rows;
  int mac_quotes = 0;
  for (const Sample& s : d.samples) {
    ++rows["mmlu_" + s.subset + ".csv"];
    mac_quotes += s.subset == "moral_scenarios" && s.input.find("’") != std::string::npos;
  }
  EXPECT_EQ(rows.size(), 57u);
  for (const auto& [path, n] : rows)
    EXPECT_EQ(n, find_pinned("mmlu_redux")->find(path)->rows) << path;
  EXPECT_EQ(mac_quotes, 1);
}

}  // namespace
}  // namespace datasets
