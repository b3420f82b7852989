#include "datasets/mbpp_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "datasets/data_error.h"
#include "tests/datasets/gzip.h"

namespace datasets {
namespace {

using testing::HasSubstr;

constexpr const char* kTests =
    R"j(["assert f(1) == 2", "assert f (2)==3 ", "assert abs(f(3)) == 4"])j";

std::string mbpp_line(std::string_view id, std::string_view code = "def f(x):\\r\\n  return x + 1",
                      std::string_view tests = kTests, std::string_view setup = "") {
  return fmt::format(
      R"({{"text":"Add one.","code":"{}","task_id":{},"test_setup_code":"{}","test_list":{},"challenge_test_list":[]}})"
      "\n",
      code, id, setup, tests);
}

std::string mbpp_error(const std::string& text) {
  try {
    parse_mbpp(text, "m.jsonl");
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

TEST(ParseMbpp, KeepsDemonstrationsAndTestProblemsInFileOrder) {
  std::string text;
  for (const char* id : {"510", "1", "4", "2", "11", "3", "5", "511", "974"}) text += mbpp_line(id);
  for (const std::string& bytes : {text, gzip(text)}) {
    const auto samples = parse_mbpp(bytes, "m");
    std::vector<std::string> ids;
    for (const auto& s : samples) ids.push_back(s.split + " " + s.id);
    EXPECT_THAT(ids, testing::ElementsAre("dev MBPP/4", "dev MBPP/2", "dev MBPP/3", "test MBPP/510",
                                          "test MBPP/11"));
  }
}

// Those of other splits have assertions of several lines, and more than three.
TEST(ParseMbpp, ReadsOnlyTheIdOfOtherProblems) {
  const std::string text = mbpp_line("600", "def f(x): return x", "[]") + mbpp_line("11");
  EXPECT_EQ(parse_mbpp(text, "m").size(), 1u);
  EXPECT_THAT(mbpp_error(text + mbpp_line("600")), HasSubstr("task_id 600 is on line 1 already"));
}

TEST(ParseMbpp, MakesPromptTestsAndReference) {
  const auto samples = parse_mbpp(mbpp_line("11"), "m");
  ASSERT_EQ(samples.size(), 1u);
  const Sample& s = samples[0];
  EXPECT_EQ(s.input,
            "Add one. Your code should pass these tests:\n\n"
            "assert f(1) == 2\nassert f (2)==3 \nassert abs(f(3)) == 4");
  EXPECT_EQ(s.reference, "def f(x):\r\n  return x + 1");
  EXPECT_EQ(s.entry_point, "f");
  EXPECT_EQ(s.test,
            "def check(candidate):\n    f = candidate\n    assert f(1) == 2\n    assert f (2)==3 \n"
            "    assert abs(f(3)) == 4\n");
  EXPECT_EQ(s.setup, "");
}

// The functions that only the solution uses, and names within names, are no entry points.
TEST(ParseMbpp, FindsTheOneFunctionThatTheAssertionsCall) {
  const auto entry = [](const char* code, const char* tests) {
    return parse_mbpp(mbpp_line("11", code, tests), "m").at(0).entry_point;
  };
  EXPECT_EQ(entry("def help(x): return x\\ndef f(x): return help(x)", kTests), "f");
  EXPECT_EQ(entry("def  sum (a): return a\\r\\ndef um(a): return a",
                  R"j(["assert sum(1)==1", "assert sum(2)==2", "assert x.um(1) or sum(3)==3"])j"),
            "sum");
}

TEST(ParseMbpp, NamesOfTheSetupStandForTheProgramsOwn) {
  const auto s =
      parse_mbpp(
          mbpp_line("11", "def f(x): return x", kTests,
                    "root = Node(1) \\r\\nroot.left = Node(2)\\nif a == b: pass\\nb=3\\nroot = b"),
          "m")
          .at(0);
  EXPECT_THAT(s.test, testing::StartsWith("root = by_name(\"root\")\nb = by_name(\"b\")\ndef "));
  EXPECT_THAT(s.setup, HasSubstr("root.left = Node(2)\n"));
}

TEST(ParseMbpp, RefusesWhatItCannotJudgeAndNamesTheLine) {
  EXPECT_EQ(mbpp_error(mbpp_line("11") + mbpp_line("12") + mbpp_line("11")),
            "m.jsonl:3: task_id 11 is on line 1 already (1 bad of 3 lines)");
  for (const char* id : {"0", "-3", "1.5", "\"11\"", "true", "99999999999"})
    EXPECT_THAT(mbpp_error(mbpp_line(id)), HasSubstr("expected a positive integer")) << id;
  const auto with_tests = [](const char* tests) {
    return mbpp_error(mbpp_line("11", "def f(x): return x", tests));
  };
  EXPECT_THAT(with_tests(R"j(["assert f(1)"])j"), HasSubstr("holds 1 assertions, expected 3"));
  EXPECT_THAT(with_tests("\"assert f(1)\""), HasSubstr("is a string, expected an array"));
  EXPECT_THAT(with_tests(R"j(["assert f(1)", 2, "assert f(3)"])j"), HasSubstr("else than strings"));
  EXPECT_THAT(with_tests(R"j(["assert f(1)", "assert f(1)\nimport os", "assert f(3)"])j"),
              HasSubstr("is no single line"));
  EXPECT_THAT(with_tests(R"j(["assert g(1)", "assert f(1)", "assert f(3)"])j"),
              HasSubstr("every assertion calls 0 of the functions of \"code\", expected one"));
  EXPECT_THAT(mbpp_error(mbpp_line("11", "def f(x): return x\\ndef g(x): return x",
                                   R"j(["assert f(g(1))", "assert f(g(1))", "assert f(g(3))"])j")),
              HasSubstr("calls 2 of the functions of \"code\" (f, g)"));
  EXPECT_THAT(mbpp_error("{\"task_id\":11}"), HasSubstr("field \"text\" is missing"));
}

}  // namespace
}  // namespace datasets
