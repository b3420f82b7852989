// Owns the refusals of tokenizer.json: each wrong file gives one line that names file and place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/model_file_error.h"
#include "engine/tokenizer.h"

namespace engine::tokenizer_test {
namespace {

using nlohmann::json;

json good() {
  return json::parse(R"({
    "added_tokens": [{"id": 3, "content": "<|e|>", "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": null,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}
  })");
}

class JsonTokenizer : public testing::Test {
 protected:
  JsonTokenizer()
      : folder_(std::filesystem::temp_directory_path() /
                ("moeval_tokenizer_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~JsonTokenizer() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Tokenizer> load(const std::string& text) {
    std::ofstream(folder_ / "tokenizer.json", std::ios::binary) << text;
    return Tokenizer::load(folder_);
  }
  std::string error(const std::string& text) {
    try {
      load(text);
    } catch (const ModelFileError& e) {
      const std::string what = e.what();
      EXPECT_EQ(what.find('\n'), std::string::npos) << what;
      EXPECT_TRUE(what.starts_with(folder_.string())) << what;
      return what;
    }
    return "no error";
  }
  // The error after one value is changed; an object is the removal of the value.
  std::string error_with(const char* pointer, json value) {
    json root = good();
    root[json::json_pointer(pointer)] = std::move(value);
    return error(root.dump());
  }

  std::filesystem::path folder_;
};

using testing::HasSubstr;

TEST_F(JsonTokenizer, LoadsTheSmallestFile) {
  const auto t = load(good().dump());
  EXPECT_EQ(t->encode("abb<|e|>", false, true), (std::vector<TokenId>{2, 1, 3}));
  EXPECT_EQ(t->vocab_size(), 4);
  EXPECT_FALSE(t->adds_bos());
}

TEST_F(JsonTokenizer, RefusesBrokenFiles) {
  EXPECT_THAT(error("{\"model\": "), HasSubstr("parse error"));
  EXPECT_THAT(error("[]"), HasSubstr("is no object"));
  EXPECT_THAT(error("{\"a\": \"\xFF\"}"), HasSubstr("ill-formed UTF-8"));
  EXPECT_THAT(error(std::string(100000, '[')), HasSubstr("byte 32: nested deeper than 32"));
  EXPECT_THAT(error(""), HasSubstr("tokenizer.json"));
}

TEST_F(JsonTokenizer, RefusesAVocabularyThatContradictsItself) {
  EXPECT_THAT(error_with("/model/vocab/b", 7), HasSubstr("no token has the id 1"));
  EXPECT_THAT(error_with("/model/vocab/b", 0), HasSubstr("id 0 is there twice"));
  EXPECT_THAT(error_with("/model/vocab/b", -1), HasSubstr("is -1, want 0 to 1048575"));
  EXPECT_THAT(error_with("/model/vocab/b", 1.5), HasSubstr("is no whole number"));
  EXPECT_THAT(error_with("/model/vocab/b", 4000000000u), HasSubstr("is 4000000000"));
  EXPECT_THAT(error_with("/model/vocab", json::object()), HasSubstr("no object with tokens"));
  EXPECT_THAT(error_with("/model/type", "Unigram"), HasSubstr("/model/type: is \"Unigram\""));
  EXPECT_THAT(error_with("/model/merges/0", "a c"), HasSubstr("/model/merges/0: 'c' is no token"));
  EXPECT_THAT(error_with("/model/merges/0", "ab"), HasSubstr("is not two tokens"));
  EXPECT_THAT(error_with("/model/merges/1", "a b"), HasSubstr("merge 1 of 'a' and 'b'"));
  EXPECT_THAT(error_with("/model/merges/0", 5), HasSubstr("is not two tokens"));
  EXPECT_THAT(error_with("/model/unk_token", "zz"), HasSubstr("/model/unk_token: is no token"));
  EXPECT_THAT(error_with("/added_tokens/0/id", 1), HasSubstr("id 1 is 'b' too"));
  EXPECT_THAT(error_with("/added_tokens/0/content", "ab"), HasSubstr("/model/vocab gives it 2"));
  EXPECT_THAT(error_with("/added_tokens/0/content", std::string(600, 'x')), HasSubstr("600 bytes"));
}

TEST_F(JsonTokenizer, RefusesWhatItDoesNotDoExactly) {
  EXPECT_THAT(error_with("/model/end_of_word_suffix", "</w>"), HasSubstr("only an empty one"));
  EXPECT_THAT(error_with("/added_tokens/0/single_word", true), HasSubstr("single_word"));
  EXPECT_THAT(error_with("/normalizer", {{"type", "NFKC"}}),
              HasSubstr("/normalizer: type is 'NFKC', known are NFC"));
  EXPECT_THAT(error_with("/pre_tokenizer", {{"type", "Whitespace"}}), HasSubstr("'Whitespace'"));
  EXPECT_THAT(error_with("/pre_tokenizer", nullptr), HasSubstr("/pre_tokenizer: want either"));
  EXPECT_THAT(error_with("/pre_tokenizer", {{"type", "Split"},
                                            {"pattern", {{"Regex", "(a+)+$"}}},
                                            {"behavior", "Isolated"},
                                            {"invert", false}}),
              HasSubstr("pattern '(a+)+$' is unknown, known are"));
  EXPECT_THAT(error_with("/post_processor", {{"type", "BertProcessing"}}),
              HasSubstr("/post_processor/type: is \"BertProcessing\""));
}

TEST_F(JsonTokenizer, ReadsBosAndEndsFromTheFilesBeside) {
  std::ofstream(folder_ / "tokenizer_config.json")
      << R"({"bos_token": {"content": "<|e|>"}, "add_bos_token": true, "eos_token": "b"})";
  std::ofstream(folder_ / "generation_config.json") << R"({"eos_token_id": [0, 3]})";
  const auto t = load(good().dump());
  EXPECT_EQ(t->bos(), 3);
  EXPECT_TRUE(t->adds_bos());
  EXPECT_EQ(t->end_of_generation(), (std::vector<TokenId>{0, 1, 3}));
  EXPECT_EQ(t->encode("a", true, false), (std::vector<TokenId>{3, 0}));
  std::ofstream(folder_ / "generation_config.json") << R"({"eos_token_id": 4})";
  EXPECT_THAT(error(good().dump()), HasSubstr("/eos_token_id: 4 is none of 4 tokens"));
}

}  // namespace
}  // namespace engine::tokenizer_test
