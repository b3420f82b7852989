// Owns the comparison with independent tokenizers over 10,400 lines: golden/corpus_hashes.txt.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/tokenizer.h"
#include "tests/engine/tokenizer/line_corpus.h"

namespace engine::tokenizer_test {
namespace {

struct Golden {
  std::string vocabulary;
  bool parse_special = false;
  std::vector<uint64_t> hashes;
};

std::vector<Golden> read_goldens() {
  std::ifstream file(MOEVAL_SOURCE_DIR "/tests/engine/tokenizer/golden/corpus_hashes.txt");
  std::vector<Golden> goldens;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) continue;
    std::istringstream words(line);
    Golden g;
    words >> g.vocabulary >> g.parse_special >> std::hex;
    for (uint64_t h; words >> h;) g.hashes.push_back(h);
    goldens.push_back(g);
  }
  return goldens;
}

// Where the environment says that the vocabulary is; empty when it says nothing.
std::filesystem::path find_vocabulary(const std::string& name) {
  const auto env = [](const char* key) {
    const char* value = std::getenv(key);
    return std::filesystem::path(value == nullptr ? "" : value);
  };
  if (name == "smollm2") return env("MOEVAL_MODEL");
  if (name == "llama-3" || name == "qwen2") {
    const auto folder = env("MOEVAL_TOKENIZERS");
    return folder.empty() ? folder : folder / name;
  }
  const auto folder = env("MOEVAL_VOCAB");
  return folder.empty() ? folder : folder / fmt::format("ggml-vocab-{}.gguf", name);
}

class CorpusTest : public testing::TestWithParam<Golden> {};

TEST_P(CorpusTest, IdsEqualThoseOfAnIndependentTokenizer) {
  const Golden& golden = GetParam();
  const auto path = find_vocabulary(golden.vocabulary);
  if (path.empty() || !std::filesystem::exists(path)) {
    GTEST_SKIP() << "no vocabulary for " << golden.vocabulary
                 << ": set MOEVAL_VOCAB, MOEVAL_MODEL or MOEVAL_TOKENIZERS";
  }
  ASSERT_EQ(golden.hashes.size(), kLines / kLinesPerHash);
  const auto tokenizer = Tokenizer::load(path);
  for (uint32_t block = 0; block < golden.hashes.size(); ++block) {
    IdHash hash;
    for (uint32_t i = 0; i < kLinesPerHash; ++i) {
      hash.add(
          tokenizer->encode(corpus_line(block * kLinesPerHash + i), false, golden.parse_special));
    }
    EXPECT_EQ(hash.value, golden.hashes[block])
        << "lines " << block * kLinesPerHash << " to " << (block + 1) * kLinesPerHash - 1;
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, CorpusTest, testing::ValuesIn(read_goldens()),
                         [](const auto& info) {
                           std::string name = info.param.vocabulary;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name + (info.param.parse_special ? "_special" : "_plain");
                         });

// llama.cpp's own texts and expected ids, beside each vocabulary.
TEST(GgufTokenizer, GivesTheIdsThatLlamaCppExpects) {
  const char* folder = std::getenv("MOEVAL_VOCAB");
  if (folder == nullptr) GTEST_SKIP() << "MOEVAL_VOCAB is not set";
  const auto read = [](const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  };
  int vocabularies = 0, texts = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto path = entry.path();
    if (path.extension() != ".gguf" || !std::filesystem::exists(path.string() + ".inp")) continue;
    ++vocabularies;
    const auto tokenizer = Tokenizer::load(path);
    const std::string all = read(path.string() + ".inp");
    std::istringstream expected(read(path.string() + ".out"));
    constexpr std::string_view kMark = "\n__ggml_vocab_test__\n";
    for (size_t at = 0; at <= all.size();) {
      const size_t end = std::min(all.find(kMark, at), all.size());
      std::string line;
      std::getline(expected, line);
      std::istringstream words(line);
      std::vector<TokenId> ids;
      for (TokenId id; words >> id;) ids.push_back(id);
      const std::string text = all.substr(at, end - at);
      EXPECT_EQ(tokenizer->encode(text, false, false), ids) << path << ": " << text;
      ++texts;
      at = end + kMark.size();
    }
  }
  EXPECT_GE(vocabularies, 6);
  EXPECT_GE(texts, 6 * 46);
}

}  // namespace
}  // namespace engine::tokenizer_test
