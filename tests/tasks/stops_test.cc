#include "tasks/stops.h"

#include <gtest/gtest.h>

namespace tasks {
namespace {

const std::vector<std::string> kStops = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"};

TEST(FindFirstStop, IsTheEarliestInTheTextNotTheFirstInTheList) {
  EXPECT_EQ(find_first_stop("ab\n# c\nclass D", kStops), 2u);
  EXPECT_EQ(find_first_stop("a\n    if x:\n  #", kStops), std::nullopt);
  EXPECT_EQ(find_first_stop("", kStops), std::nullopt);
  EXPECT_EQ(find_first_stop("text", {}), std::nullopt);
  EXPECT_EQ(find_first_stop("text", {""}), std::nullopt);
}

TEST(CutAtStop, KeepsWhatStandsBefore) {
  EXPECT_EQ(cut_at_stop("    return 1\n\ndef g():", kStops), "    return 1\n");
  EXPECT_EQ(cut_at_stop("\ndef g():", kStops), "");
  EXPECT_EQ(cut_at_stop("    return 1", kStops), "    return 1");
}

TEST(StopScanner, AgreesWithTheWholeTextForEverySplitInTwoAndByteByByte) {
  const std::string text = "  x = 1\n  y = 2\n\nprin\n\nprint(x)\n# end\nclass";
  for (size_t i = 0; i <= text.size(); ++i) {
    StopScanner scanner(kStops);
    scanner.feed(text.substr(0, i));
    EXPECT_TRUE(scanner.feed(text.substr(i)));
    EXPECT_EQ(scanner.text(), cut_at_stop(text, kStops)) << i;
  }
  StopScanner scanner(kStops);
  size_t stopped_after = 0;
  for (size_t i = 0; i < text.size() && stopped_after == 0; ++i)
    if (scanner.feed(text.substr(i, 1))) stopped_after = i + 1;
  EXPECT_EQ(stopped_after, text.find("\nprint") + 6);
  EXPECT_EQ(scanner.text(), "  x = 1\n  y = 2\n\nprin\n");
}

TEST(StopScanner, IgnoresWhatComesAfterAStop) {
  StopScanner scanner(kStops);
  EXPECT_FALSE(scanner.feed("a\nde"));
  EXPECT_FALSE(scanner.stopped());
  EXPECT_EQ(scanner.text(), "a\nde");
  EXPECT_TRUE(scanner.feed("f g"));
  EXPECT_TRUE(scanner.feed("more"));
  EXPECT_EQ(scanner.text(), "a");
}

TEST(StopScanner, NeverStopsWithoutStops) {
  StopScanner scanner({});
  EXPECT_FALSE(scanner.feed("anything\ndef"));
  EXPECT_EQ(scanner.text(), "anything\ndef");
}

TEST(BeforeFence, CutsAtTheFirstTripleBacktick) {
  EXPECT_EQ(before_fence("a `b` ``c``\n```\nd```"), "a `b` ``c``\n");
  EXPECT_EQ(before_fence("no fence"), "no fence");
  EXPECT_EQ(before_fence("```"), "");
}

}  // namespace
}  // namespace tasks
