// Owns the refusals of a GGUF vocabulary: each wrong key gives one line that names it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/model_file/gguf.h"
#include "engine/model_file_error.h"
#include "engine/tokenizer/spec.h"
#include "tests/support/gguf_writer.h"

namespace engine::tokenizer {
namespace {

using support::GgufWriter;
using testing::HasSubstr;

struct Vocabulary {
  std::string model = "llama";
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab"};
  std::vector<int32_t> kinds = {2, 3, 3, 1, 1, 1, 1};
  std::vector<float> scores = {0, 0, 0, -1, -2, -3, -4};
  std::vector<std::string> merges = {"a b"};
  uint32_t bos = 1, eos = 2;
  std::string pre = "gpt-2";
};

Spec read(const Vocabulary& v) {
  GgufWriter w;
  w.add_string("tokenizer.ggml.model", v.model);
  w.add_string("tokenizer.ggml.pre", v.pre);
  w.add_strings("tokenizer.ggml.tokens", v.tokens);
  w.add_array<int32_t>("tokenizer.ggml.token_type", w.i32, v.kinds);
  w.add_array<float>("tokenizer.ggml.scores", w.f32, v.scores);
  w.add_strings("tokenizer.ggml.merges", v.merges);
  w.add_u32("tokenizer.ggml.bos_token_id", v.bos);
  w.add_u32("tokenizer.ggml.eos_token_id", v.eos);
  return read_gguf_spec(GgufFile::parse(ByteSource::from_memory("v.gguf", w.bytes())));
}

template <typename Change>
std::string error(Change change) {
  Vocabulary v;
  change(v);
  try {
    make_tokenizer(read(v));
  } catch (const ModelFileError& e) {
    EXPECT_THAT(e.what(), testing::StartsWith("v.gguf: "));
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    return e.what();
  }
  return "no error";
}

TEST(GgufVocabulary, IsReadWhenItIsSound) {
  const auto pieces = make_tokenizer(read({}));
  EXPECT_EQ(pieces->encode("ab", true, false), (std::vector<TokenId>{1, 3, 6}));
  EXPECT_EQ(pieces->end_of_generation(), (std::vector<TokenId>{2}));
  Vocabulary v;
  v.model = "gpt2";
  const auto bytes = make_tokenizer(read(v));
  EXPECT_EQ(bytes->encode("abb", true, false), (std::vector<TokenId>{6, 5}));
  EXPECT_FALSE(bytes->adds_bos());
}

TEST(GgufVocabulary, IsRefusedWhenItContradictsItself) {
  EXPECT_THAT(error([](auto& v) { v.model = "bert"; }), HasSubstr("model: is 'bert', known are"));
  EXPECT_THAT(error([](auto& v) { v.tokens.clear(); }), HasSubstr("tokens: 0 tokens"));
  EXPECT_THAT(error([](auto& v) { v.kinds.pop_back(); }), HasSubstr("6 types for 7 tokens"));
  EXPECT_THAT(error([](auto& v) { v.kinds[3] = 7; }), HasSubstr("token 3 has type 7"));
  EXPECT_THAT(error([](auto& v) { v.kinds[3] = -1; }), HasSubstr("token 3 has type -1"));
  EXPECT_THAT(error([](auto& v) { v.scores.pop_back(); }), HasSubstr("6 scores for 7 tokens"));
  EXPECT_THAT(error([](auto& v) { v.scores[4] = std::nanf(""); }),
              HasSubstr("token 4 has the score"));
  EXPECT_THAT(error([](auto& v) { v.bos = 7; }), HasSubstr("bos_token_id: is 7, but there are 7"));
  EXPECT_THAT(error([](auto& v) { v.tokens[4].assign(5000, 'a'); }), HasSubstr("5000 bytes"));
  EXPECT_THAT(error([](auto& v) { v.tokens[1].assign(513, 's'); }), HasSubstr("513 bytes"));
  for (const char* bad : {"<0x-1>", "<0xG0>", "<0x1>", "<0x100>", "x"}) {
    EXPECT_THAT(error([&](auto& v) { v.tokens[4] = bad, v.kinds[4] = 6; }),
                HasSubstr("token 4 is a byte but its text is"));
  }
}

TEST(GgufVocabulary, IsRefusedWhenItsMergesAreWrong) {
  const auto with = [](std::vector<std::string> merges) {
    return error([&](auto& v) { v.model = "gpt2", v.merges = merges; });
  };
  EXPECT_THAT(with({"ab"}), HasSubstr("merge 0 is 'ab', want two tokens"));
  EXPECT_THAT(with({""}), HasSubstr("merge 0 is ''"));
  EXPECT_THAT(with({"a "}), HasSubstr("merge 0 is 'a '"));
  EXPECT_THAT(with({"a b", "b a"}), HasSubstr("merge 1: 'ba' is no token"));
  EXPECT_THAT(with({"a b", "a b"}), HasSubstr("merge 1 of 'a' and 'b' is there twice"));
}

}  // namespace
}  // namespace engine::tokenizer
