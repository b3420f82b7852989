#include "datasets/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "datasets/data_error.h"

namespace datasets {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::vector<std::string>> fields(std::string_view text) {
  std::vector<std::vector<std::string>> all;
  for (auto& r : parse_csv(text, "t.csv")) all.push_back(r.fields);
  return all;
}

std::string error_of(std::string_view text, const CsvLimits& limits = {}) {
  try {
    parse_csv(text, "t.csv", limits);
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

TEST(ParseCsv, ReadsQuotedFieldsWithCommasNewlinesAndDoubledQuotes) {
  EXPECT_THAT(
      fields("\"a,b\",\"two\nlines\",\"say \"\"hi\"\"\",\"\"\nx,,y\n"),
      ElementsAre(ElementsAre("a,b", "two\nlines", "say \"hi\"", ""), ElementsAre("x", "", "y")));
}

TEST(ParseCsv, PartsFieldsByAnotherDelimiter) {
  const auto records = parse_csv("a,b;\"c;d\";\"e\"\r\nf;;g", "t.csv", {}, ';');
  ASSERT_EQ(records.size(), 2u);
  EXPECT_THAT(records[0].fields, ElementsAre("a,b", "c;d", "e"));
  EXPECT_THAT(records[1].fields, ElementsAre("f", "", "g"));
  EXPECT_THROW(parse_csv("\"a\",b", "t.csv", {}, ';'), DataError);
}

TEST(ParseCsv, ReportsPhysicalLinesAfterNewlinesInsideFields) {
  const auto records = parse_csv("\"1\n2\n3\",a\nb,c", "t.csv");
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].line, 1u);
  EXPECT_EQ(records[1].line, 4u);
}

TEST(ParseCsv, TakesByteOrderMarkCrlfAndMissingFinalNewline) {
  EXPECT_THAT(fields("\xEF\xBB\xBF\"a\",b\r\n\"c\"\r\nd"),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("c"), ElementsAre("d")));
}

TEST(ParseCsv, ByteOrderMarkIsNotPartOfAQuotedFirstField) {
  EXPECT_THAT(fields("\xEF\xBB\xBF\"a\nb\",c\n"), ElementsAre(ElementsAre("a\nb", "c")));
}

TEST(ParseCsv, QuoteInsideOrAtTheEndOfAnUnquotedFieldIsText) {
  EXPECT_THAT(
      fields("ends so\",a \"mid\" b,\"q\"\nnext,1,2\n"),
      ElementsAre(ElementsAre("ends so\"", "a \"mid\" b", "q"), ElementsAre("next", "1", "2")));
}

TEST(ParseCsv, KeepsBlanksNonBreakingSpacesNelAndInnerByteOrderMarks) {
  EXPECT_THAT(fields(" a \t,x\xC2\x85y,\xEF\xBB\xBFz,\xC2\xA0\n"),
              ElementsAre(ElementsAre(" a \t", "x\xC2\x85y", "\xEF\xBB\xBFz", "\xC2\xA0")));
}

TEST(ParseCsv, CarriageReturnInsideQuotesIsText) {
  EXPECT_THAT(fields("\"a\rb\r\nc\",d\n"), ElementsAre(ElementsAre("a\rb\r\nc", "d")));
}

TEST(ParseCsv, FinalCommaMeansOneMoreEmptyField) {
  EXPECT_THAT(fields("a,\nb,"), ElementsAre(ElementsAre("a", ""), ElementsAre("b", "")));
}

TEST(ParseCsv, RefusesAnEmptyFileAlsoWithByteOrderMark) {
  EXPECT_THAT(error_of(""), HasSubstr("t.csv: empty file"));
  EXPECT_THAT(error_of("\xEF\xBB\xBF"), HasSubstr("t.csv: empty file"));
}

TEST(ParseCsv, NamesTheLineWhereAnUnclosedQuoteOpens) {
  EXPECT_THAT(error_of("a,b\n\"x\ny\",c\nd,\"open\nmore\n"),
              HasSubstr("t.csv:4: quoted field is never closed (the file ends at line 6)"));
  EXPECT_THAT(error_of("\""), HasSubstr("t.csv:1: quoted field is never closed"));
}

TEST(ParseCsv, RefusesTextAfterAClosingQuote) {
  EXPECT_THAT(error_of("a\n\"b\"c\n"), HasSubstr("t.csv:2: byte 5: 0x63 after the closing quote"));
  EXPECT_THAT(error_of("\"b\"\rc"), HasSubstr("byte 3: 0x0d after the closing quote"));
}

TEST(ParseCsv, RefusesACarriageReturnAlone) {
  EXPECT_THAT(error_of("a\rb\n"), HasSubstr("t.csv:1: byte 1: carriage return without"));
  EXPECT_THAT(error_of("a\r"), HasSubstr("byte 1"));
}

TEST(ParseCsv, RefusesNulAndInvalidUtf8WithByteOffset) {
  EXPECT_THAT(error_of(std::string_view("ab\ncd\0e\n", 8)), HasSubstr("t.csv:2: byte 5: NUL"));
  EXPECT_THAT(error_of("ab\n\xC3(\n"), HasSubstr("t.csv:2: byte 3: 0xc3 is not valid UTF-8"));
  // NUL first, damage later, and the other way round: the first one is named.
  EXPECT_THAT(error_of(std::string_view("\0\xFF", 2)), HasSubstr("byte 0: NUL"));
  EXPECT_THAT(error_of(std::string_view("\xFF\0", 2)), HasSubstr("byte 0: 0xff"));
}

TEST(ParseCsv, HoldsItsLimits) {
  CsvLimits limits;
  limits.max_record_bytes = 8;
  EXPECT_EQ(error_of("12345678\n1234567\n", limits), "no error");
  EXPECT_THAT(error_of("a\n123456789\n", limits), HasSubstr("t.csv:2: record longer than 8 bytes"));
  EXPECT_THAT(error_of("\"12\n34\n56\n\"", limits), HasSubstr("t.csv:1: record longer than 8"));
  EXPECT_THAT(error_of("1,2,3,4,5\n", {.max_record_bytes = 99, .max_fields = 4}),
              HasSubstr("more than 4 fields"));
  EXPECT_THAT(error_of("1\n2\n3\n", {.max_record_bytes = 99, .max_fields = 4, .max_records = 2}),
              HasSubstr("t.csv:3: more than 2 records"));
}

TEST(ParseCsv, RefusesALineOfTenMegabytesByDefault) {
  EXPECT_THAT(error_of(std::string(10u << 20, 'x')), HasSubstr("record longer than 4194304 bytes"));
  EXPECT_THAT(error_of("\"" + std::string(10u << 20, '\n')), HasSubstr("record longer"));
}

}  // namespace
}  // namespace datasets
