// GSM8K and GSM-Plus, small files made here.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "datasets/catalog.h"
#include "datasets/data_error.h"
#include "datasets/gsm8k_reader.h"
#include "datasets/gsm_plus_reader.h"
#include "datasets/sha256.h"
#include "tests/datasets/gzip.h"
#include "tests/datasets/temp_folder.h"

namespace datasets {
namespace {

using testing::HasSubstr;

std::string gsm_line(std::string_view question, std::string_view answer) {
  return fmt::format("{{\"question\":\"{}\",\"answer\":\"{}\"}}\n", question, answer);
}

std::string gsm_plus_line(std::string_view answer, std::string_view kind = "adding operation") {
  return fmt::format(
      R"({{"question":"q","solution":"Two.\n#### 2","answer":"{}","perturbation_type":"{}"}})"
      "\n",
      answer, kind);
}

template <typename Read>
std::string gsm_error(Read read) {
  try {
    read();
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

std::string gsm8k_error(const std::string& text) {
  return gsm_error([&] { parse_gsm8k(text, "g.jsonl", "test"); });
}

TEST(ParseGsm8k, TakesTheFinalNumberWithoutItsCommas) {
  const std::string text = gsm_line("How many?", "1,000 and <<1+1=2>>2.\\n#### 1,234,002") +
                           gsm_line("And now?", "Less.\\n#### -3");
  for (const std::string& bytes : {text, gzip(text)}) {
    const auto samples = parse_gsm8k(bytes, "g", "test");
    ASSERT_EQ(samples.size(), 2u);
    EXPECT_EQ(samples[0].id, "gsm8k/test/0");
    EXPECT_EQ(samples[0].split, "test");
    EXPECT_EQ(samples[0].subset, "");
    EXPECT_EQ(samples[0].input, "How many?");
    EXPECT_EQ(samples[0].reference, "1,000 and <<1+1=2>>2.\n#### 1,234,002");
    EXPECT_EQ(samples[0].target, "1234002");
    EXPECT_EQ(samples[1].target, "-3");
    EXPECT_TRUE(samples[1].choices.empty());
    EXPECT_EQ(samples[1].answer, -1);
  }
}

TEST(ParseGsm8k, RefusesOtherFinalAnswersAndNamesTheLine) {
  EXPECT_EQ(gsm8k_error(gsm_line("q", "#### 1") + gsm_line("q", "one")),
            "g.jsonl:2: field \"answer\" has no \"####\" before the final answer (1 bad of 2 "
            "lines)");
  EXPECT_THAT(gsm8k_error(gsm_line("q", "#### 1\\n#### 2")), HasSubstr("has several \"####\""));
  for (const char* end : {"####5", "#### ", "#### five", "#### 1.5", "#### 5 ", "#### 5\\n",
                          "#### --5", "#### ,", "#### 1234567890123456789"})
    EXPECT_THAT(gsm8k_error(gsm_line("q", end)), HasSubstr("and a whole number")) << end;
  EXPECT_THAT(gsm8k_error(gsm_line("", "#### 1")), HasSubstr("field \"question\" is empty"));
  EXPECT_THAT(gsm8k_error("{\"question\":\"q\",\"answer\":5}"),
              HasSubstr("field \"answer\" is a number, expected a string"));
}

TEST(ParseGsmPlus, KeepsTheKindAndDecimalsFractionsAndNone) {
  const auto samples = parse_gsm_plus(
      gsm_plus_line("4.33") + gsm_plus_line("5/8") + gsm_plus_line("None", "critical thinking") +
          gsm_plus_line("-7", "integer-decimal-fraction conversion"),
      "p");
  ASSERT_EQ(samples.size(), 4u);
  EXPECT_EQ(samples[0].id, "gsm_plus/0");
  EXPECT_EQ(samples[0].subset, "adding_operation");
  EXPECT_EQ(samples[0].target, "4.33");
  EXPECT_EQ(samples[0].reference, "Two.\n#### 2");
  EXPECT_EQ(samples[1].target, "5/8");
  EXPECT_EQ(samples[2].target, kGsmPlusNone);
  EXPECT_EQ(samples[3].subset, "integer-decimal-fraction_conversion");
}

TEST(ParseGsmPlus, RefusesOtherTargetsAndKinds) {
  const auto error = [](const std::string& text) {
    return gsm_error([&] { parse_gsm_plus(text, "p.jsonl"); });
  };
  for (const char* answer : {"none", "1/0", "1/", "/2", "1.", ".5", "1,000", "1/2/3", "five", "-"})
    EXPECT_THAT(error(gsm_plus_line("1") + gsm_plus_line(answer)),
                HasSubstr("p.jsonl:2: field \"answer\" is"))
        << answer;
  for (const char* kind : {"Adding", "a/b", "a_b", "a\\nb"})
    EXPECT_THAT(error(gsm_plus_line("1", kind)), HasSubstr("expected 1 to 80 of a-z")) << kind;
}

class GsmFolder : public testing::Test {
 protected:
  std::string rows(int n) {
    std::string text;
    for (int i = 0; i < n; ++i) text += gsm_line(fmt::format("train {}", i), "#### 1");
    return text;
  }
  Dataset gsm_load(const char* name) { return load(name, {t_.path()}, {.allow_unverified = true}); }
  std::string gsm_load_error(const char* name) {
    return gsm_error([&] { gsm_load(name); });
  }
  TempFolder t_;
};

TEST_F(GsmFolder, ShowsTheFirstFiveTrainingRowsInBothSets) {
  t_.write("gsm8k/test.jsonl", gsm_line("q", "#### 1"));
  t_.write("gsm8k/train.jsonl.gz", gzip(rows(7)));
  t_.write("gsm-plus/gsmplus_testmini.jsonl.gz", gzip(gsm_plus_line("2")));
  const Dataset a = gsm_load("gsm8k"), b = gsm_load("gsm_plus");
  EXPECT_EQ(a.samples.size(), 1u);
  ASSERT_EQ(a.demonstrations.size(), 5u);
  EXPECT_EQ(a.demonstrations[4].id, "gsm8k/train/4");
  EXPECT_EQ(a.demonstrations[4].input, "train 4");
  EXPECT_EQ(a.origin, "unverified");
  EXPECT_EQ(a.sha256, sha256_hex(sha256_hex(gsm_line("q", "#### 1")) + sha256_hex(rows(7))));
  EXPECT_EQ(b.samples.size(), 1u);
  EXPECT_EQ(b.demonstrations.size(), 5u);
  EXPECT_EQ(b.demonstrations[0].subset, "");
  EXPECT_THAT(gsm_error([&] { load("gsm8k", {t_.path()}); }), HasSubstr("--allow-unverified"));
}

TEST_F(GsmFolder, NamesTheTrainingFileThatIsMissingOrTooShort) {
  t_.write("gsm8k/test.jsonl", gsm_line("q", "#### 1"));
  t_.write("gsm_plus/gsmplus_testmini.jsonl", gsm_plus_line("2"));
  const std::string train = (t_.path() / "gsm8k/train.jsonl").string();
  for (const char* name : {"gsm8k", "gsm_plus"})
    EXPECT_EQ(gsm_load_error(name), train + ": missing; its first 5 rows are the demonstrations");
  t_.write("gsm8k/train.jsonl", rows(4));
  EXPECT_EQ(gsm_load_error("gsm8k"), train + ": 4 rows, the first 5 are the demonstrations");
  EXPECT_THAT(gsm_error([&] { load("gsm8k", {t_.path()}, {.split = "train"}); }),
              HasSubstr("only test"));
}

}  // namespace
}  // namespace datasets
