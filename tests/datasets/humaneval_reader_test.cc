#include "datasets/humaneval_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "datasets/data_error.h"
#include "tests/datasets/gzip.h"

namespace datasets {
namespace {

using testing::HasSubstr;

std::string line(std::string_view id, std::string_view entry = "f") {
  return fmt::format(
      R"({{"task_id":"{}","prompt":"\ndef f():\n","entry_point":"{}","canonical_solution":"    pass\n","test":"def check(c): pass","extra":[1e3]}})"
      "\n",
      id, entry);
}

std::string why_refused(std::string_view text) {
  try {
    parse_humaneval(text, "h.jsonl");
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

TEST(ParseHumanEval, ReadsPlainAndGzipAlikeAndTrimsNothing) {
  const std::string text = line("X/0") + line("X/1", "_g2");
  for (const std::string& bytes : {text, gzip(text)}) {
    const auto samples = parse_humaneval(bytes, "h");
    ASSERT_EQ(samples.size(), 2u);
    EXPECT_EQ(samples[0].id, "X/0");
    EXPECT_EQ(samples[0].input, "\ndef f():\n");
    EXPECT_EQ(samples[0].reference, "    pass\n");
    EXPECT_EQ(samples[0].test, "def check(c): pass");
    EXPECT_EQ(samples[0].split, "test");
    EXPECT_EQ(samples[1].entry_point, "_g2");
  }
}

TEST(ParseHumanEval, RefusesAnIdTwiceAndNamesBothLines) {
  EXPECT_EQ(why_refused(line("X/0") + line("X/1") + "\n" + line("X/0") + line("X/1")),
            "h.jsonl:4: task_id \"X/0\" is on line 1 already (2 bad of 4 lines)");
}

TEST(ParseHumanEval, AllowsAnEntryPointTwice) {
  EXPECT_EQ(why_refused(line("a") + line("b")), "no error");
}

TEST(ParseHumanEval, RefusesMissingFieldsAndWrongTypes) {
  EXPECT_THAT(why_refused(line("X/0") + "{\"task_id\":\"X/1\"}\n"),
              HasSubstr("h.jsonl:2: field \"prompt\" is missing (1 bad of 2 lines)"));
  EXPECT_THAT(why_refused("{\"prompt\":\"x\"}"), HasSubstr("field \"task_id\" is missing"));
  EXPECT_THAT(why_refused("{\"task_id\":7}"),
              HasSubstr("field \"task_id\" is a number, expected a string"));
  EXPECT_THAT(why_refused("{\"task_id\":\"a\",\"prompt\":null}"),
              HasSubstr("\"prompt\" is a null"));
  EXPECT_THAT(why_refused(line("")), HasSubstr("field \"task_id\" is empty"));
}

TEST(ParseHumanEval, RefusesEntryPointsThatAreNoIdentifier) {
  for (const char* entry : {"", "2f", "f()", "a.b", "f;g", "f\\ng", "\\u00e9"})
    EXPECT_THAT(why_refused(line("X/0", entry)), HasSubstr("entry_point")) << entry;
}

TEST(ParseHumanEval, RefusesATruncatedFile) {
  const std::string text = line("X/0") + line("X/1");
  EXPECT_THAT(why_refused(text.substr(0, text.size() - 5)), HasSubstr("h.jsonl:2: truncated"));
}

TEST(ParseCompletions, KeepsOrderRepeatsAndEmptyCompletions) {
  const auto c = parse_completions(
      "{\"task_id\":\"a\",\"completion\":\"x\"}\n{\"task_id\":\"a\",\"completion\":\"\"}\n", "s");
  ASSERT_EQ(c.size(), 2u);
  EXPECT_EQ(c[0].completion, "x");
  EXPECT_EQ(c[1].task_id, "a");
  EXPECT_EQ(c[1].completion, "");
}

TEST(ParseCompletions, RefusesMissingAndWronglyTypedFields) {
  EXPECT_THROW(parse_completions("{\"task_id\":\"a\"}", "s"), DataError);
  EXPECT_THROW(parse_completions("{\"task_id\":\"a\",\"completion\":1}", "s"), DataError);
}

}  // namespace
}  // namespace datasets
