#include "datasets/jsonl.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "datasets/data_error.h"
#include "tests/datasets/gzip.h"

namespace datasets {
namespace {

using testing::HasSubstr;

std::string jsonl_error(std::string_view text, const JsonlLimits& limits = {},
                        const InputLimits& input = {}) {
  try {
    parse_jsonl(text, "t.jsonl", limits, input);
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

std::string field(std::string_view line, std::string_view name) {
  const auto objects = parse_jsonl(line, "t.jsonl");
  const JsonField* f = objects.at(0).find(name);
  return f ? fmt::format("{} {}", kind_name(f->kind), f->text) : "absent";
}

TEST(ParseJsonl, ReadsStringsWithEscapes) {
  EXPECT_EQ(field(R"({"a":"x\n\"\u00e9\ud83d\ude00"})", "a"),
            "string x\n\"\xC3\xA9\xF0\x9F\x98\x80");
  EXPECT_EQ(field(R"({"a":"x"})", "b"), "absent");
}

TEST(ParseJsonl, KeepsEveryDigitOfNumbersBeyondSixtyFourBits) {
  const std::string digits =
      "123456789012345678901234567890123456789012345678901234567890123456789"
      "012345678901234567890123456789";
  EXPECT_EQ(field("{\"n\":" + digits + "}", "n"), "number " + digits);
  EXPECT_EQ(field("{\"n\":-" + digits + "}", "n"), "number -" + digits);
  EXPECT_EQ(field(R"({"n":18446744073709551615})", "n"), "number 18446744073709551615");
  EXPECT_EQ(field(R"({"n":-9223372036854775808})", "n"), "number -9223372036854775808");
  EXPECT_EQ(field(R"({"n":0.1000000000000000055511151231257827})", "n"),
            "number 0.1000000000000000055511151231257827");
}

TEST(ParseJsonl, WritesNestedValuesBackAsJson) {
  EXPECT_EQ(
      field(R"({"x":1,"a": [1, {"b" : [], "c":[true,null,"q\""]}, [99999999999999999999]] })", "a"),
      R"(array [1,{"b":[],"c":[true,null,"q\""]},[99999999999999999999]])");
  EXPECT_EQ(field(R"({"a":{"x":{"y":1},"z":2},"b":3})", "a"), R"(object {"x":{"y":1},"z":2})");
  EXPECT_EQ(field(R"({"a":{"x":{"y":1},"z":2},"b":3})", "b"), "number 3");
}

TEST(ParseJsonl, SkipsBlankLinesAndCountsThem) {
  const auto objects = parse_jsonl("\xEF\xBB\xBF{\"a\":1}\r\n\n \t\r\n{\"a\":2}", "t.jsonl");
  ASSERT_EQ(objects.size(), 2u);
  EXPECT_EQ(objects[0].line, 1u);
  EXPECT_EQ(objects[1].line, 4u);
}

TEST(ParseJsonl, ReadsALineOfHalfAMillionCharacters) {
  const std::string text(503'079, 'x');
  EXPECT_EQ(parse_jsonl("{\"a\":\"" + text + "\"}\n", "t").at(0).fields.at(0).text, text);
}

TEST(ParseJsonl, SaysThatALastLineIsTruncatedAtEveryCut) {
  const std::string first = "{\"a\":1}\n", last = R"({"ab":"c\u00e9","d":[12,true]})";
  for (size_t n = 1; n < last.size(); ++n)
    EXPECT_THAT(jsonl_error(first + last.substr(0, n)), HasSubstr("t.jsonl:2: truncated")) << n;
  EXPECT_EQ(jsonl_error(first + last), "no error");
}

TEST(ParseJsonl, NamesTheLineOfADamagedLine) {
  EXPECT_THAT(jsonl_error("{\"a\":1}\n{\"a\" 1}\n{\"a\":1}\n"),
              HasSubstr("t.jsonl:2: byte 6: not JSON"));
  EXPECT_THAT(jsonl_error("{\"a\":1} x\n"), HasSubstr("t.jsonl:1: byte 9: not JSON"));
  EXPECT_THAT(jsonl_error("{\"a\":\n1}\n"), HasSubstr("t.jsonl:1:"));
  EXPECT_THAT(jsonl_error("{\"a\":'x'}\n"), HasSubstr("not JSON"));
  EXPECT_THAT(jsonl_error("{\"a\":NaN}\n"), HasSubstr("not JSON"));
  EXPECT_THAT(jsonl_error("{\"a\":\"\\ud800\"}\n"), HasSubstr("not JSON"));
}

TEST(ParseJsonl, RefusesLinesThatAreNoObject) {
  for (const char* line : {"[1]", "1", "\"a\"", "null", "true"})
    EXPECT_THAT(jsonl_error(line), HasSubstr("t.jsonl:1: not an object")) << line;
}

TEST(ParseJsonl, RefusesANameTwiceAlsoInNestedObjects) {
  EXPECT_THAT(jsonl_error(R"({"a":1,"a":2})"), HasSubstr("the name \"a\" occurs twice"));
  EXPECT_THAT(jsonl_error(R"({"b":[{"a":1,"a":2}]})"), HasSubstr("the name \"a\" occurs twice"));
  EXPECT_EQ(jsonl_error(R"({"b":[{"a":1},{"a":2}],"a":3})"), "no error");
}

TEST(ParseJsonl, BoundsDepthWithoutRecursion) {
  std::string deep(1'000'000, '[');
  EXPECT_THAT(jsonl_error("{\"a\":" + deep), HasSubstr("nested deeper than 16"));
  EXPECT_EQ(jsonl_error(R"({"a":[[1]]})", {.max_depth = 3}), "no error");
  EXPECT_THAT(jsonl_error(R"({"a":[[[1]]]})", {.max_depth = 3}), HasSubstr("nested deeper than 3"));
}

TEST(ParseJsonl, RefusesNumbersThatNoDoubleHolds) {
  EXPECT_THAT(jsonl_error("{\"a\":1e400}"), HasSubstr("number out of range"));
}

TEST(ParseJsonl, RefusesNulInvalidUtf8AndEmptyInput) {
  EXPECT_THAT(jsonl_error(std::string_view("{\"a\":\"\0\"}", 9)),
              HasSubstr("t.jsonl:1: byte 6: NUL"));
  EXPECT_THAT(jsonl_error(R"({"a":"\u0000"})"), HasSubstr("U+0000"));
  EXPECT_THAT(jsonl_error("{\"a\":1}\n{\"a\":\"\xED\xA0\x80\"}"),
              HasSubstr("t.jsonl:2: byte 14: 0xed"));
  EXPECT_THAT(jsonl_error(""), HasSubstr("empty file"));
  EXPECT_THAT(jsonl_error("\n\n"), HasSubstr("empty file"));
}

TEST(ParseJsonl, HoldsTheLineLimit) {
  EXPECT_EQ(jsonl_error("{\"a\":\"xx\"}", {.max_line_bytes = 10}), "no error");
  EXPECT_THAT(jsonl_error("{}\n{\"a\":\"xxx\"}", {.max_line_bytes = 10}),
              HasSubstr("t.jsonl:2: line of 11 bytes, the limit is 10"));
  EXPECT_THAT(jsonl_error("{\"a\":\"" + std::string(10u << 20, 'x') + "\"}"),
              HasSubstr("limit is 4194304"));
}

TEST(Gunzip, ReadsOneMemberOrSeveral) {
  EXPECT_EQ(gunzip(gzip("hello"), "t.gz"), "hello");
  EXPECT_EQ(gunzip(gzip("hello ") + gzip("world"), "t.gz"), "hello world");
  EXPECT_EQ(gunzip(gzip(""), "t.gz"), "");
  EXPECT_EQ(parse_jsonl(gzip("{\"a\":1}\n"), "t.gz").size(), 1u);
}

TEST(Gunzip, RefusesAStreamThatEndsEarlyAtEveryCut) {
  const std::string packed = gzip("{\"a\": \"some text, some more text\"}\n");
  for (size_t n = 0; n < packed.size(); ++n)
    EXPECT_THROW(gunzip(std::string_view(packed).substr(0, n), "t.gz"), DataError) << n;
}

TEST(Gunzip, RefusesEveryFlippedByteOfTheStreamAndItsChecksum) {
  const std::string plain = "{\"a\": \"some text, some more text\"}\n", packed = gzip(plain);
  // Bytes 4 to 9 of the header are time, level and system: free.
  for (size_t i = 10; i < packed.size(); ++i) {
    std::string damaged = packed;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
    EXPECT_THROW(gunzip(damaged, "t.gz"), DataError) << i;
  }
}

TEST(Gunzip, RefusesTrailingBytes) {
  try {
    gunzip(gzip("hello") + "x", "t.gz");
    FAIL();
  } catch (const DataError& e) {
    EXPECT_THAT(e.what(), HasSubstr("1 bytes after the end of the gzip stream"));
  }
  EXPECT_THROW(gunzip(gzip("hello") + std::string(512, '\0'), "t.gz"), DataError);
}

TEST(Gunzip, BoundsTotalAndRatio) {
  const std::string bomb = gzip(std::string(8u << 20, 'x'));
  EXPECT_THAT(jsonl_error(bomb), HasSubstr("unpack to more than 200 times as many"));
  EXPECT_THAT(jsonl_error(bomb, {}, {.max_plain_bytes = 1u << 20, .max_gzip_ratio = 100'000}),
              HasSubstr("more than the limit of 1048576 bytes"));
  EXPECT_EQ(gunzip(bomb, "t", {.max_gzip_ratio = 100'000}).size(), 8u << 20);
}

}  // namespace
}  // namespace datasets
