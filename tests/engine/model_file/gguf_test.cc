#include "engine/model_file/gguf.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tests/engine/model_file/expect_refused.h"
#include "tests/engine/model_file/tiny_model.h"

namespace engine::test_support {
namespace {

using support::GgufWriter;
using support::raw;

GgufFile parse(std::string bytes) {
  return GgufFile::parse(ByteSource::from_memory("tiny.gguf", std::move(bytes)));
}

TEST(GgufFile, GivesBackEveryPlantedValue) {
  for (const uint32_t version : {2u, 3u}) {
    GgufWriter w = tiny_gguf();
    w.version = version;
    w.add_bool("tokenizer.ggml.add_bos_token", 1);
    w.add_string("empty", "");
    w.add_array<uint32_t>("ids", w.u32, {7, 8});
    const GgufFile f = parse(w.bytes());
    EXPECT_EQ(f.version(), version);
    EXPECT_EQ(f.string("general.architecture"), "llama");
    EXPECT_EQ(f.string("empty"), "");
    EXPECT_EQ(f.u32("llama.context_length"), 64u);
    EXPECT_EQ(f.f32("llama.rope.freq_base"), 5000.0f);
    EXPECT_EQ(f.find_bool("tokenizer.ggml.add_bos_token"), true);
    EXPECT_EQ(f.find_u32("absent"), std::nullopt);
    EXPECT_EQ(f.array_size("tokenizer.ggml.tokens"), 6u);
    EXPECT_EQ(f.array_size("absent"), std::nullopt);
    const GgufStrings tokens = f.string_array("tokenizer.ggml.tokens");
    ASSERT_EQ(tokens.size(), 6u);
    EXPECT_EQ(tokens[0], "a");
    EXPECT_EQ(tokens[5], "f");
    EXPECT_EQ(f.f32_array("tokenizer.ggml.scores").at(5), -5.0f);
    EXPECT_EQ(f.i32_array("tokenizer.ggml.token_type").at(5), 3);
    EXPECT_EQ(f.i32_array("ids"), (std::vector<int32_t>{7, 8}));
    EXPECT_TRUE(f.string_array("absent").empty());

    const auto planted_tensors = tiny_tensors();
    ASSERT_EQ(f.tensors().size(), planted_tensors.size());
    for (size_t i = 0; i < planted_tensors.size(); ++i) {
      const GgufTensor* t = f.find_tensor(planted_tensors[i].name);
      ASSERT_EQ(t, &f.tensors()[i]);
      const std::vector<float> want = planted(i, t->size_bytes / 4);
      EXPECT_EQ(t->shape, std::vector<int64_t>(planted_tensors[i].shape.begin(),
                                               planted_tensors[i].shape.end()));
      std::vector<float> got(want.size());
      f.source().read(t->offset, got.data(), t->size_bytes);
      EXPECT_EQ(got, want) << t->name;
    }
  }
}

TEST(GgufFile, TakesAnotherAlignment) {
  GgufWriter w = tiny_gguf();
  w.alignment = 4096;
  w.add_u32("general.alignment", 4096);
  const GgufFile f = parse(w.bytes());
  EXPECT_EQ(f.tensors()[0].offset % 4096, 0u);
  EXPECT_EQ(f.tensors()[1].offset, f.tensors()[0].offset + 4096);
}

TEST(GgufFile, SizesQuantisedTensorsByBlocks) {
  GgufWriter w;
  w.tensors.push_back({"q8", {64, 2}, 8, std::string(4 * 34, 'x')});
  w.tensors.push_back({"q4_1", {32}, 3, std::string(20, 'y')});
  w.tensors.push_back({"q6_k", {256}, 14, std::string(210, 'z')});
  const GgufFile f = parse(w.bytes());
  EXPECT_EQ(f.tensors()[0].size_bytes, 136u);
  EXPECT_EQ(f.tensors()[1].dtype, kernels::Dtype::q4_1);
  EXPECT_EQ(f.tensors()[2].size_bytes, 210u);
}

TEST(GgufFile, RefusesAKeyOfAnotherType) {
  const GgufFile f = parse(tiny_gguf().bytes());
  const auto refused = [&](const std::function<void()>& get, const char* words) {
    expect_refused(get, "tiny.gguf", words);
  };
  refused([&] { f.find_u32("general.name"); }, "has type string, want u32");
  refused([&] { f.find_f32("llama.block_count"); }, "has type u32, want f32");
  refused([&] { f.find_string("llama.block_count"); }, "want string");
  refused([&] { f.find_bool("llama.block_count"); }, "want bool");
  refused([&] { f.array_size("llama.block_count"); }, "want array");
  refused([&] { f.string_array("tokenizer.ggml.scores"); }, "has f32 elements, want string");
  refused([&] { f.i32_array("tokenizer.ggml.scores"); }, "has f32 elements, want i32");
  refused([&] { f.f32_array("tokenizer.ggml.tokens"); }, "has string elements, want f32");
  refused([&] { f.u32("absent"); }, "'absent' is missing");
}

struct GgufDamage {
  const char* name;
  std::function<void(GgufWriter&)> apply;
  const char* words;
};

constexpr uint64_t kHuge = uint64_t{1} << 63;
std::string array_of(uint32_t element, uint64_t count, const std::string& data = "") {
  return raw(element) + raw(count) + data;
}

const GgufDamage kGgufDamages[] = {
    {"magic", [](GgufWriter& w) { w.magic = "GGML"; }, "magic"},
    {"version 0", [](GgufWriter& w) { w.version = 0; }, "version is 0"},
    {"version 1", [](GgufWriter& w) { w.version = 1; }, "version is 1"},
    {"version 4", [](GgufWriter& w) { w.version = 4; }, "version is 4"},
    {"big-endian", [](GgufWriter& w) { w.version = 0x03000000; }, "big-endian"},
    {"tensor count 2^63", [](GgufWriter& w) { w.n_tensors = kHuge; }, "tensor count"},
    {"tensor count +1", [](GgufWriter& w) { w.n_tensors = w.tensors.size() + 1; }, "offset"},
    {"tensor count -1", [](GgufWriter& w) { w.n_tensors = w.tensors.size() - 1; }, "offset"},
    {"key count 2^64-1", [](GgufWriter& w) { w.n_keys = UINT64_MAX; }, "key count"},
    {"key count 65537", [](GgufWriter& w) { w.n_keys = 65537; }, "key count"},
    {"key length 2^63",
     [](GgufWriter& w) {
       w.n_keys = 14;
       w.tensors.clear();
       w.trailing = raw(kHuge) + std::string(5, 'x');
     },
     "length of key name"},
    {"key length wraps",
     [](GgufWriter& w) {
       w.n_keys = 14;
       w.tensors.clear();
       w.trailing = raw(UINT64_MAX - 7) + std::string(5, 'x');
     },
     "length of key name"},
    {"key too long", [](GgufWriter& w) { w.keys[1].name.assign(65536, 'k'); },
     "length of key name"},
    {"key empty", [](GgufWriter& w) { w.keys[1].name = ""; }, "key name is empty"},
    {"key with NUL", [](GgufWriter& w) { w.keys[1].name = std::string("a\0b", 3); }, "NUL"},
    {"key not UTF-8", [](GgufWriter& w) { w.keys[1].name = "a\xff\x62"; }, "not UTF-8"},
    {"key overlong UTF-8", [](GgufWriter& w) { w.keys[1].name = "\xc0\xaf"; }, "not UTF-8"},
    {"key twice", [](GgufWriter& w) { w.keys.push_back(w.keys[1]); }, "duplicate key"},
    {"value type 13", [](GgufWriter& w) { w.keys[1].type = 13; }, "value type is 13"},
    {"value type 2^32-1", [](GgufWriter& w) { w.keys[1].type = UINT32_MAX; }, "value type"},
    {"bool 2", [](GgufWriter& w) { w.add_bool("flag", 2); }, "boolean is 2"},
    {"string 2^63", [](GgufWriter& w) { w.keys[1].payload = raw(kHuge); }, "length of a string"},
    {"string 2^64-1", [](GgufWriter& w) { w.keys[1].payload = raw(UINT64_MAX); },
     "length of a string"},
    {"array of arrays",
     [](GgufWriter& w) {
       w.keys.push_back({"x", w.arr, array_of(9, 1, array_of(0, 0))});
     },
     "arrays of arrays"},
    {"array element 77",
     [](GgufWriter& w) {
       w.keys.push_back({"x", w.arr, array_of(77, 0)});
     },
     "element type is 77"},
    {"array count 2^63",
     [](GgufWriter& w) {
       w.keys.push_back({"x", w.arr, array_of(4, kHuge)});
     },
     "array count"},
    {"array bytes wrap",
     [](GgufWriter& w) {
       w.keys.push_back({"x", w.arr, array_of(10, kHuge / 4 + 1)});
     },
     "array count"},
    {"array of strings 2^62",
     [](GgufWriter& w) {
       w.keys.push_back({"x", w.arr, array_of(8, kHuge / 2)});
     },
     "array count"},
    {"array string too long",
     [](GgufWriter& w) {
       w.keys.push_back({"x", w.arr, array_of(8, 1, raw(kHuge))});
     },
     "length of an array string"},
    {"array of bool 7",
     [](GgufWriter& w) {
       w.keys.push_back({"x", w.arr, array_of(7, 2, "\x01\x07")});
     },
     "boolean is 7"},
    {"alignment 0", [](GgufWriter& w) { w.add_u32("general.alignment", 0); },
     "general.alignment is 0"},
    {"alignment 24", [](GgufWriter& w) { w.add_u32("general.alignment", 24); },
     "general.alignment is 24"},
    {"alignment 2^31", [](GgufWriter& w) { w.add_u32("general.alignment", 1u << 31); },
     "general.alignment is"},
    {"alignment of another type",
     [](GgufWriter& w) {
       w.keys.push_back({"general.alignment", w.u64, raw(uint64_t{32})});
     },
     "has type u64, want u32"},
    {"tensor name empty", [](GgufWriter& w) { w.tensors[3].name = ""; }, "tensor name is empty"},
    {"tensor name with NUL", [](GgufWriter& w) { w.tensors[3].name = std::string(3, '\0'); },
     "NUL"},
    {"tensor twice", [](GgufWriter& w) { w.tensors[3].name = w.tensors[1].name; },
     "duplicate tensor"},
    {"0 dimensions", [](GgufWriter& w) { w.tensors[0].n_dims = 0; }, "0 dimensions"},
    {"5 dimensions", [](GgufWriter& w) { w.tensors[0].n_dims = 5; }, "5 dimensions"},
    {"2^32-1 dimensions", [](GgufWriter& w) { w.tensors[0].n_dims = UINT32_MAX; }, "dimensions"},
    {"dimension 0", [](GgufWriter& w) { w.tensors[0].dims[1] = 0; }, "dimension 1 is 0"},
    {"dimension negative", [](GgufWriter& w) { w.tensors[0].dims[1] = UINT64_MAX; },
     "dimension 1 is"},
    {"dimension product wraps",
     [](GgufWriter& w) {
       w.tensors[0].dims = {uint64_t{1} << 33, uint64_t{1} << 31, 2};
     },
     "dimension"},
    {"dimension product is 2^63",
     [](GgufWriter& w) {
       w.tensors[0].dims = {uint64_t{1} << 32, uint64_t{1} << 31};
     },
     "dimension"},
    {"bytes wrap",
     [](GgufWriter& w) {
       w.tensors[0].dims = {uint64_t{1} << 31, uint64_t{1} << 31};
     },
     "overflow"},
    {"bytes near 2^64", [](GgufWriter& w) { w.tensors[0].dims = {(uint64_t{1} << 62) - 1}; },
     "truncated"},
    {"dimension +1", [](GgufWriter& w) { w.tensors[0].dims[1] += 2; }, "data offset"},
    {"rows not whole blocks", [](GgufWriter& w) { w.tensors[0].type = 8; }, "multiple of 32"},
    {"type unknown", [](GgufWriter& w) { w.tensors[0].type = 4711; }, "type id 4711"},
    {"type removed", [](GgufWriter& w) { w.tensors[0].type = 4; }, "type id 4"},
    {"type not read", [](GgufWriter& w) { w.tensors[0].type = 10; },
     "Q2_K (id 10) is not supported"},
    {"offset misaligned", [](GgufWriter& w) { w.tensors[1].offset = 193; }, "misaligned"},
    {"offset overlaps", [](GgufWriter& w) { w.tensors[1].offset = 0; },
     "data offset is 0, want 192"},
    {"offset leaves a hole", [](GgufWriter& w) { w.tensors[1].offset = 224; },
     "data offset is 224, want 192"},
    {"offset 2^63", [](GgufWriter& w) { w.tensors[1].offset = kHuge; }, "data offset"},
    {"offset 2^64-32", [](GgufWriter& w) { w.tensors[1].offset = UINT64_MAX - 31; }, "data offset"},
    {"out of order",
     [](GgufWriter& w) {
       w.tensors[0].offset = 192;
       w.tensors[1].offset = 0;
     },
     "data offset"},
    {"trailing bytes", [](GgufWriter& w) { w.trailing = "x"; }, "1 bytes follow the last tensor"},
};

TEST(GgufFile, RefusesEveryMutationByItsName) {
  for (const GgufDamage& m : kGgufDamages) {
    SCOPED_TRACE(m.name);
    GgufWriter w = tiny_gguf();
    m.apply(w);
    expect_refused([&] { parse(w.bytes()); }, "tiny.gguf", m.words);
  }
}

TEST(GgufFile, RefusesTheFileCutAtEveryByte) {
  const std::string whole = tiny_gguf().bytes();
  const GgufFile f = parse(whole);
  const GgufTensor& last = f.tensors().back();
  // The padding after the last tensor may be missing: some writers leave it out.
  const uint64_t least = last.offset + last.size_bytes;
  for (uint64_t n = 0; n < least; ++n) {
    expect_refused([&] { parse(whole.substr(0, n)); }, "tiny.gguf", "");
  }
  EXPECT_EQ(parse(whole.substr(0, least)).tensors().size(), f.tensors().size());
}

// Every 4 and 8 bytes of the directory set to extreme values: refused, or harmless. A crash,
// another exception or a sanitizer report fails.
TEST(GgufFile, SurvivesExtremeValuesAtEveryOffset) {
  const GgufWriter w = tiny_gguf();
  const std::string whole = w.bytes();
  const size_t directory = w.directory().size();
  const uint64_t values[] = {0,         1,     2,         uint64_t{1} << 31, uint64_t{1} << 32,
                             kHuge - 1, kHuge, kHuge + 1, UINT64_MAX - 31,   UINT64_MAX};
  size_t refused = 0, tried = 0;
  for (size_t at = 0; at + 8 <= directory; ++at) {
    for (const uint64_t v : values) {
      for (const size_t n : {size_t{4}, size_t{8}}) {
        if (n == 4 && v != 0 && v != uint64_t{1} << 31 && v != UINT64_MAX) continue;
        std::string bytes = whole;
        bytes.replace(at, n, raw(v).substr(0, n));
        ++tried;
        try {
          const GgufFile f = parse(std::move(bytes));
          for (const GgufTensor& t : f.tensors()) {
            ASSERT_LE(t.offset + t.size_bytes, whole.size());
          }
          if (f.array_size("tokenizer.ggml.tokens")) f.string_array("tokenizer.ggml.tokens");
        } catch (const ModelFileError&) {
          ++refused;
        }
      }
    }
  }
  EXPECT_GT(refused, tried / 2);
}

TEST(GgufFile, ReadsTheRealVocabularies) {
  const char* folder = std::getenv("MOEVAL_VOCAB");
  if (folder == nullptr) GTEST_SKIP() << "MOEVAL_VOCAB is not set";
  int n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    const GgufFile f = GgufFile::open(entry.path());
    const GgufStrings tokens = f.string_array("tokenizer.ggml.tokens");
    EXPECT_GT(tokens.size(), 30000u) << f.name();
    EXPECT_EQ(f.i32_array("tokenizer.ggml.token_type").size(), tokens.size()) << f.name();
    EXPECT_TRUE(f.tensors().empty()) << f.name();
    ++n;
  }
  EXPECT_GT(n, 0) << "no .gguf file in " << folder;
}

}  // namespace
}  // namespace engine::test_support
