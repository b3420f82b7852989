#include "engine/model_file/safetensors.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/engine/model_file/expect_refused.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"

namespace engine::test_support {
namespace {

using support::raw;
using support::safetensors_bytes;
using support::SafetensorsWriter;

SafetensorsFile parse_safetensors(std::string bytes) {
  return SafetensorsFile::parse(ByteSource::from_memory("m.safetensors", std::move(bytes)));
}

SafetensorsWriter two_tensors() {
  SafetensorsWriter w;
  w.add("b", "F32", "[2, 2]", raw(std::vector<float>{1, 2, 3, 4}));
  w.add("a", "BF16", "[3]", "xxyyzz");
  return w;
}

TEST(SafetensorsFile, GivesBackEveryPlantedValue) {
  SafetensorsWriter w = two_tensors();
  w.header = R"("__metadata__":{"format":"pt","note":"\u00e9"},)" + w.header;
  w.add("none", "F16", "[0, 7]", "");
  w.add("scalar", "I64", "[]", "12345678");
  w.header += "  ";
  const SafetensorsFile f = parse_safetensors(w.bytes());
  ASSERT_EQ(f.tensors().size(), 4u);
  const SafetensorsTensor* b = f.find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->dtype, kernels::Dtype::f32);
  EXPECT_EQ(b->shape, (std::vector<int64_t>{2, 2}));
  float values[4];
  f.source()->read(b->offset, values, b->size_bytes);
  EXPECT_EQ(values[3], 4.0f);
  EXPECT_EQ(f.find("a")->dtype, kernels::Dtype::bf16);
  EXPECT_EQ(f.find("a")->offset, b->offset + 16);
  EXPECT_EQ(f.find("none")->size_bytes, 0u);
  EXPECT_EQ(f.find("scalar")->dtype, std::nullopt);
  EXPECT_EQ(f.find("scalar")->stored_type, "I64");
  EXPECT_EQ(f.find("c"), nullptr);
}

// {"t": entry} before 4 data bytes.
struct BadEntry {
  const char* entry;
  const char* words;
};

constexpr BadEntry kBadEntries[] = {
    {R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})", "begin 4 is after end 0"},
    {R"({"dtype":"F32","shape":[1],"data_offsets":[0,8]})", "span 8 bytes"},
    {R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", "truncated"},
    {R"({"dtype":"F32","shape":[2],"data_offsets":[18446744073709551608,18446744073709551615]})",
     "span 7 bytes"},
    {R"({"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551616]})", "unexpected"},
    {R"({"dtype":"F32","shape":[1],"data_offsets":[1,5]})", "hole"},
    {R"({"dtype":"F16","shape":[1],"data_offsets":[0,2]})", "2 bytes follow the last tensor"},
    {R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]})", "overflows"},
    {R"({"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]})", "overflows"},
    {R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]})", "not below 2^63"},
    {R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})", "number -1"},
    {R"({"dtype":"F32","shape":[1.5],"data_offsets":[0,4]})", "number '1.5'"},
    {R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})", "number '1.0'"},
    {R"({"dtype":"F32","shape":[1e400],"data_offsets":[0,4]})", "not valid JSON"},
    {R"({"dtype":"F32","shape":["1"],"data_offsets":[0,4]})", "a string"},
    {R"({"dtype":"F32","shape":[[1]],"data_offsets":[0,4]})", "an array"},
    {R"({"dtype":"F32","shape":[null],"data_offsets":[0,4]})", "null"},
    {R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]})", "8 dimensions"},
    {R"({"dtype":"F32","shape":[1],"data_offsets":[0]})", "two data_offsets"},
    {R"({"dtype":"F32","shape":[1],"data_offsets":[0,4,4]})", "number 4"},
    {R"({"dtype":"F32","shape":[1]})", "want dtype"},
    {R"({"dtype":"F32","data_offsets":[0,4]})", "want dtype"},
    {R"({"shape":[1],"data_offsets":[0,4]})", "want dtype"},
    {R"({"dtype":"F33","shape":[1],"data_offsets":[0,4]})", "unknown dtype 'F33'"},
    {R"({"dtype":"F4","shape":[9],"data_offsets":[0,4]})", "not whole bytes"},
    {R"({"dtype":5,"shape":[1],"data_offsets":[0,4]})", "number 5"},
    {R"({"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]})", "duplicate key"},
    {R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":true})", "unknown key 'x'"},
    {R"({"dtype":"F32","shape":{"a":1},"data_offsets":[0,4]})", "an object"},
    {R"({})", "want dtype"},
    {R"([])", "an array"},
    {R"(7)", "number 7"},
    {R"(true)", "a boolean"},
};

TEST(SafetensorsFile, RefusesEveryBadEntry) {
  const auto file = [](const std::string& entry) {
    return safetensors_bytes(fmt::format(R"({{"t":{}}})", entry), "data");
  };
  EXPECT_EQ(parse_safetensors(file(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})"))
                .tensors()
                .size(),
            1u);
  for (const BadEntry& b : kBadEntries) {
    SCOPED_TRACE(b.entry);
    expect_refused([&] { parse_safetensors(file(b.entry)); }, "m.safetensors", b.words);
  }
}

TEST(SafetensorsFile, RefusesEveryBadHeader) {
  const std::string entry = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const auto refused = [](std::string bytes, const char* words) {
    SCOPED_TRACE(words);
    expect_refused([&] { parse_safetensors(bytes); }, "m.safetensors", words);
  };
  for (const uint64_t n : {uint64_t{0}, uint64_t{1}, uint64_t{100'000'001}, uint64_t{1} << 31,
                           uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 7}) {
    refused(raw(n) + "{}", "header length is");
  }
  refused(raw(uint64_t{3}) + "{}", "header length is 3, want 2 to 2");
  refused(safetensors_bytes("[]", ""), "begins with byte");
  refused(safetensors_bytes(" {}", ""), "begins with byte");
  refused(safetensors_bytes("{]", ""), "not valid JSON at offset 9");
  refused(safetensors_bytes("{}x", ""), "not valid JSON");
  refused(safetensors_bytes("{}{}", ""), "not valid JSON");
  refused(safetensors_bytes("{\"t\":" + entry + ",}", "data"), "not valid JSON");
  refused(safetensors_bytes("{\"\xff\":" + entry + "}", "data"), "not valid JSON");
  refused(safetensors_bytes("{\"t\":" + entry + ",\"t\":" + entry + "}", "data"),
          "duplicate tensor 't'");
  refused(safetensors_bytes("{\"t\":" + entry + ",\"u\":" + entry + "}", "data"), "overlap");
  refused(safetensors_bytes(R"({"__metadata__":{"a":1}})", ""), "number 1");
  refused(safetensors_bytes(R"({"__metadata__":{"a":{}}})", ""), "an object");
  refused(safetensors_bytes(R"({"__metadata__":{"a":"","a":""}})", ""), "duplicate key");
  refused(safetensors_bytes(R"({"__metadata__":"a"})", ""), "a string");
  refused(safetensors_bytes("{}", "x"), "1 bytes follow");
  const std::string deep(100'000, '[');
  refused(safetensors_bytes("{\"t\":" + deep, ""), "an array");
  std::string objects;
  for (int i = 0; i < 50'000; ++i) objects += "{\"t\":";
  refused(safetensors_bytes(objects, ""), "unknown key 't'");
}

TEST(SafetensorsFile, RefusesTheFileCutAtEveryByte) {
  const std::string whole = two_tensors().bytes();
  ASSERT_EQ(parse_safetensors(whole).tensors().size(), 2u);
  for (size_t n = 0; n < whole.size(); ++n) {
    expect_refused([&] { parse_safetensors(whole.substr(0, n)); }, "m.safetensors", "");
  }
}

TEST(SafetensorsFile, SurvivesEveryByteChanged) {
  const std::string whole = two_tensors().bytes();
  size_t refused = 0;
  for (size_t at = 0; at + two_tensors().data.size() < whole.size(); ++at) {
    for (const int c :
         {0x00, 0x01, 0x22, 0x30, 0x39, 0x5b, 0x5d, 0x7b, 0x7d, 0x2c, 0x2d, 0x7f, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(c);
      try {
        const SafetensorsFile f = parse_safetensors(bytes);
        for (const SafetensorsTensor& t : f.tensors()) {
          ASSERT_LE(t.offset + t.size_bytes, whole.size());
        }
      } catch (const ModelFileError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 500u);
}

class ShardedFolder : public ::testing::Test {
 protected:
  ShardedFolder() {
    SafetensorsWriter one, two;
    one.add("a", "F32", "[1]", raw(1.0f));
    two.add("b", "F32", "[1]", raw(2.0f));
    folder_.write("s-1.safetensors", one.bytes());
    folder_.write("s-2.safetensors", two.bytes());
  }
  void index(std::string_view text) { folder_.write("model.safetensors.index.json", text); }
  void refused(std::string_view text, const char* words) {
    SCOPED_TRACE(text);
    index(text);
    expect_refused([&] { SafetensorsFolder::open(folder_.path()); }, folder_.path().string(),
                   words);
  }

  support::TempFolder folder_;
};

TEST_F(ShardedFolder, FindsEveryWeightInItsShard) {
  index(
      R"({"metadata":{"total_size":8},"weight_map":{"a":"s-1.safetensors","b":"s-2.safetensors"}})");
  const SafetensorsFolder f = SafetensorsFolder::open(folder_.path());
  EXPECT_EQ(f.shards().size(), 2u);
  EXPECT_EQ(f.files().size(), 3u);
  float v = 0;
  const auto b = f.find("b");
  ASSERT_TRUE(b);
  b->file->source()->read(b->tensor->offset, &v, 4);
  EXPECT_EQ(v, 2.0f);
  EXPECT_FALSE(f.find("c"));
}

TEST_F(ShardedFolder, RefusesEveryBadIndex) {
  refused("{}", "weight_map is missing");
  refused("[]", "want an object");
  refused(R"({"weight_map":[]})", "want an object");
  refused(R"({"weight_map":{"a":1}})", "want a string");
  refused(R"({"weight_map":{"a":"../s-1.safetensors"}})", "plain .safetensors name");
  refused(R"({"weight_map":{"a":"/s-1.safetensors"}})", "plain .safetensors name");
  refused(R"({"weight_map":{"a":"x\\s-1.safetensors"}})", "plain .safetensors name");
  refused(R"({"weight_map":{"a":"s-1.safetensors\u0000.safetensors"}})", "plain .safetensors name");
  refused(R"({"weight_map":{"a":"passwd"}})", "plain .safetensors name");
  refused(R"({"weight_map":{"a":"s-3.safetensors"}})", "s-3.safetensors: cannot be opened");
  refused(R"({"weight_map":{"a":"s-1.safetensors","a":"s-2.safetensors"}})", "duplicate JSON key");
  refused(R"({"weight_map":{"a":"s-2.safetensors","b":"s-2.safetensors"}})", "does not hold it");
  refused(R"({"weight_map":{"a":"s-1.safetensors","c":"s-2.safetensors"}})", "does not hold it");
  refused(R"({"weight_map":{"a":[[[[[[[[[[1]]]]]]]]]]}})", "nesting is deeper than 8");
  refused(R"({"weight_map":{"a":"s-1.safetensors")", "not valid JSON");
  SafetensorsWriter both;
  both.add("b", "F32", "[1]", raw(2.0f));
  both.add("extra", "F32", "[1]", raw(3.0f));
  folder_.write("s-2.safetensors", both.bytes());
  refused(R"({"weight_map":{"a":"s-1.safetensors","b":"s-2.safetensors"}})", "not in weight_map");
  SafetensorsWriter twice;
  twice.add("b", "F32", "[1]", raw(2.0f));
  twice.add("a", "F32", "[1]", raw(3.0f));
  folder_.write("s-2.safetensors", twice.bytes());
  refused(R"({"weight_map":{"a":"s-1.safetensors","b":"s-2.safetensors"}})",
          "mapped to another shard");
}

TEST_F(ShardedFolder, SaysWhatIsMissing) {
  expect_refused([&] { SafetensorsFolder::open(folder_.path()); }, folder_.path().string(),
                 "neither model.safetensors nor");
  folder_.write("pytorch_model.bin", "x");
  expect_refused([&] { SafetensorsFolder::open(folder_.path()); }, folder_.path().string(),
                 "convert it to safetensors");
}

}  // namespace
}  // namespace engine::test_support
