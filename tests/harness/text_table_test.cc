#include "harness/text_table.h"

#include <gtest/gtest.h>

namespace {

using namespace harness;

TEST(TextTable, AlignsColumnsByWhatIsSeen) {
  TextTable t({{"task"}, {"acc", Align::right}, {"note"}});
  t.add({"mmlu", "0.25", "±0.01"});
  t.add({"naïve — é", "1", ""});
  EXPECT_EQ(t.terminal(),
            "task        acc  note\n"
            "---------  ----  -----\n"
            "mmlu       0.25  ±0.01\n"
            "naïve — é     1\n");
}

TEST(TextTable, MarkdownKeepsItsColumnsWhateverTheCellsHold) {
  TextTable t({{"a|b"}, {"n", Align::right}});
  t.add({"x|y\\z", "<b>"});
  t.add({"two\nlines", "1"});
  EXPECT_EQ(t.markdown(),
            "| a\\|b | n |\n"
            "| --- | ---: |\n"
            "| x\\|y\\\\z | &lt;b> |\n"
            "| two lines | 1 |\n");
}

TEST(TextTable, AnEmptyOneIsItsHeader) {
  const TextTable t({{"task"}});
  EXPECT_TRUE(t.empty());
  EXPECT_EQ(t.terminal(), "task\n----\n");
}

TEST(DisplayWidth, CountsCharactersNotBytes) {
  EXPECT_EQ(display_width(""), 0u);
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("é…±"), 3u);
}

TEST(Printable, LeavesNoControlCharacter) {
  EXPECT_EQ(printable("plain é text"), "plain é text");
  EXPECT_EQ(printable("a\nb\tc"), "a\\nb\\tc");
  EXPECT_EQ(printable("\x1b[2J\x07\x7f"), "\\x1b[2J\\x07\\x7f");
  EXPECT_EQ(printable(std::string_view("\0\r", 2)), "\\x00\\x0d");
  // U+009B begins a terminal command as ESC [ does.
  EXPECT_EQ(printable("\xc2\x9b\x32J"), "\\x9b2J");
  EXPECT_EQ(printable("\xc2\xa0\xc2"), "\xc2\xa0\xc2");
}

TEST(Si, HasThreeDigitsAndAPrefix) {
  EXPECT_EQ(si(0), "0");
  EXPECT_EQ(si(999), "999");
  EXPECT_EQ(si(1000), "1 k");
  EXPECT_EQ(si(1234567), "1.23 M");
  EXPECT_EQ(si(999999), "1 M");
  EXPECT_EQ(si(2.5), "2.5");
  EXPECT_EQ(si(-1234), "-1.23 k");
  EXPECT_EQ(si(4.2e12), "4.2 T");
}

TEST(Duration, IsReadable) {
  EXPECT_EQ(duration(0.05), "50 ms");
  EXPECT_EQ(duration(12.34), "12.3 s");
  EXPECT_EQ(duration(59.96), "1 min 00 s");
  EXPECT_EQ(duration(245), "4 min 05 s");
  EXPECT_EQ(duration(3599.6), "1 h 00 min");
  EXPECT_EQ(duration(7380), "2 h 03 min");
}

}  // namespace
