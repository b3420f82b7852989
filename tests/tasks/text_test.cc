#include "tasks/text.h"

#include <gtest/gtest.h>

namespace tasks {
namespace {

TEST(Strip, RemovesWhatPythonsStripRemoves) {
  EXPECT_EQ(strip(" \t\r\n\v\f\x1c\x1f"
                  "a b\u0085\u00a0\u2003\u2028\u3000"),
            "a b");
  EXPECT_EQ(strip(""), "");
  EXPECT_EQ(strip(" \u00a0 "), "");
  // Zero-width space, byte order mark and U+180E are not white space in Python.
  EXPECT_EQ(strip("\u200bx\ufeff"), "\u200bx\ufeff");
  EXPECT_EQ(strip("x\u180e"), "x\u180e");
}

TEST(Strip, LeavesBytesThatAreNotUtf8) {
  EXPECT_EQ(strip("\xff a \x85"), "\xff a \x85");
  EXPECT_EQ(strip(" \xc2"), "\xc2");
  EXPECT_EQ(strip("a\x80\x80\x80\x80\x80"), "a\x80\x80\x80\x80\x80");
}

TEST(CountCharacters, CountsCodePoints) {
  EXPECT_EQ(count_characters(""), 0u);
  EXPECT_EQ(count_characters("abc"), 3u);
  EXPECT_EQ(count_characters("\u00e9\u6c34\U0001f600"), 3u);
  EXPECT_EQ(count_characters("a\xff\xe6"), 3u);  // stray bytes count as one each
}

TEST(Nearest, FindsTheMisspeltNameAndNothingForAForeignOne) {
  const std::vector<std::string> names = {"mmlu", "mmlu_cloze", "humaneval"};
  EXPECT_EQ(nearest("mlu", names), "mmlu");
  EXPECT_EQ(nearest("humanevel", names), "humaneval");
  EXPECT_EQ(nearest("gsm8k_platinum", names), "");
  EXPECT_EQ(nearest("m", {}), "");
}

TEST(Quote, KeepsMessagesOnOneLineAndShort) {
  EXPECT_EQ(quote("a\nb\x1b"), "\"a\\nb\\x1b\"");
  EXPECT_EQ(quote(std::string(100, 'x')).size(), 85u);
}

}  // namespace
}  // namespace tasks
