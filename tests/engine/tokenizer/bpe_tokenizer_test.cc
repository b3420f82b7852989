// Owns the behaviour of encode and decode that no golden shows: bytes that are not UTF-8, ids out
// of range, long hostile texts, flags.
#include "engine/tokenizer/bpe_tokenizer.h"

#include <gtest/gtest.h>

#include "engine/model_file_error.h"
#include "engine/tokenizer/byte_alphabet.h"
#include "engine/tokenizer/unicode.h"

namespace engine::tokenizer {
namespace {

// All bytes, then merges given as pairs of byte strings, then <s> and </s>.
Spec byte_spec(const std::vector<std::pair<std::string, std::string>>& merges) {
  Spec spec;
  spec.file = "test";
  std::unordered_map<std::string, TokenId> id_of;
  const auto add = [&](const std::string& bytes) {
    std::string entry;
    for (char c : bytes) append_utf8(entry, byte_to_symbol(static_cast<uint8_t>(c)));
    id_of[bytes] = static_cast<TokenId>(spec.entries.size());
    spec.entries.push_back(entry);
    spec.kinds.push_back(TokenKind::normal);
  };
  for (int b = 0; b < 256; ++b) add(std::string(1, static_cast<char>(b)));
  for (const auto& [left, right] : merges) {
    add(left + right);
    spec.merges.push_back({id_of.at(left), id_of.at(right), id_of.at(left + right)});
  }
  for (const char* text : {"<s>", "</s>"}) {
    const auto id = static_cast<TokenId>(spec.entries.size());
    spec.entries.emplace_back(text);
    spec.kinds.push_back(TokenKind::control);
    spec.added.push_back({.id = id, .content = text, .special = true});
  }
  spec.bos = static_cast<TokenId>(spec.entries.size() - 2);
  spec.add_bos = true;
  spec.pre = PreTokenizer::by_gguf_name("gpt-2", "test");
  return spec;
}

// <unk> <s> </s>, the 256 bytes, then pieces with their scores.
Spec piece_spec(const std::vector<std::pair<std::string, float>>& pieces, bool bytes = true) {
  Spec spec;
  spec.file = "test";
  spec.alphabet = Alphabet::metaspace;
  spec.spaces_to_metaspace = true;
  spec.space_prefix = SpacePrefix::every;
  const auto add = [&](std::string entry, TokenKind kind, float score) {
    spec.entries.push_back(std::move(entry));
    spec.kinds.push_back(kind);
    spec.scores.push_back(score);
  };
  add("<unk>", TokenKind::unknown, 0);
  add("<s>", TokenKind::control, 0);
  add("</s>", TokenKind::control, 0);
  spec.unknown = 0;
  spec.bos = 1;
  spec.add_bos = true;
  if (bytes) {
    constexpr char kHex[] = "0123456789ABCDEF";
    for (int b = 0; b < 256; ++b) {
      add(std::string("<0x") + kHex[b / 16] + kHex[b % 16] + ">", TokenKind::byte, 0);
    }
  }
  for (const auto& [text, score] : pieces) add(text, TokenKind::normal, score);
  return spec;
}

std::vector<std::string> pieces_of(const Tokenizer& t, std::string_view text) {
  std::vector<std::string> out;
  for (TokenId id : t.encode(text, false, false)) out.push_back(t.token_bytes(id));
  return out;
}

using Strings = std::vector<std::string>;

TEST(BpeTokenizer, MergesByRankThenFromTheLeft) {
  const BpeTokenizer t(byte_spec({{"b", "c"}, {"a", "b"}, {"a", "a"}, {"aa", "a"}}));
  EXPECT_EQ(pieces_of(t, "abc"), (Strings{"a", "bc"}));
  EXPECT_EQ(pieces_of(t, "ab"), (Strings{"ab"}));
  EXPECT_EQ(pieces_of(t, "aaaaa"), (Strings{"aa", "aaa"}));
}

TEST(BpeTokenizer, TakesAWholeWordWhenMergesAreIgnored) {
  // No order of the merges reaches "abc": b and c merge first.
  Spec spec = byte_spec({{"b", "c"}, {"a", "b"}, {"ab", "c"}});
  EXPECT_EQ(pieces_of(BpeTokenizer(spec), "abc"), (Strings{"a", "bc"}));
  spec.ignore_merges = true;
  EXPECT_EQ(pieces_of(BpeTokenizer(spec), "abc"), (Strings{"abc"}));
}

TEST(BpeTokenizer, KeepsBytesThatAreNotUtf8) {
  const BpeTokenizer bytes(byte_spec({{"a", "b"}}));
  const BpeTokenizer pieces(piece_spec({{"a", -1}, {"\u2581", -2}}));
  std::string text = "ab \xC3(\xA9 \xF0\x9F\x98 \xED\xA0\x80 \xC0\x80 \xFF\xFE";
  text += '\0';
  for (const Tokenizer* t : std::initializer_list<const Tokenizer*>{&bytes, &pieces}) {
    EXPECT_EQ(t->decode(t->encode(text, true, false)), text);
  }
}

TEST(BpeTokenizer, SkipsIdsThatDoNotExist) {
  const BpeTokenizer t(byte_spec({}));
  EXPECT_EQ(t.decode(std::vector<TokenId>{'h', -1, 1 << 30, 'i', INT32_MIN}), "hi");
  EXPECT_EQ(t.token_bytes(-1), "");
  EXPECT_EQ(t.token_bytes(static_cast<TokenId>(t.vocab_size())), "");
}

TEST(BpeTokenizer, ParsesAndShowsSpecialTokensOnlyWhenAsked) {
  const BpeTokenizer t(byte_spec({}));
  const auto parsed = t.encode("a</s>b", true, true);
  EXPECT_EQ(parsed, (std::vector<TokenId>{256, 'a', 257, 'b'}));
  EXPECT_EQ(t.encode("</s>", false, false).size(), 4u);
  EXPECT_EQ(t.decode(parsed), "ab");
  EXPECT_EQ(t.decode(parsed, true), "<s>a</s>b");
}

TEST(BpeTokenizer, DropsBytesThatTheVocabularyLacks) {
  Spec spec = byte_spec({});
  spec.kinds['x'] = TokenKind::control;
  EXPECT_EQ(BpeTokenizer(spec).encode("axb", false, false), (std::vector<TokenId>{'a', 'b'}));
  spec.unknown = 7;
  EXPECT_EQ(BpeTokenizer(spec).encode("axb", false, false), (std::vector<TokenId>{'a', 7, 'b'}));
}

TEST(ScoredPieces, MergeTheBestScoreFirst) {
  const BpeTokenizer t(piece_spec(
      {{"\u2581", -9}, {"a", -8}, {"b", -7}, {"c", -6}, {"bc", -1}, {"ab", -2}, {"\u2581a", -3}}));
  EXPECT_EQ(pieces_of(t, "abc"), (Strings{" a", "bc"}));
  EXPECT_EQ(pieces_of(t, "ab"), (Strings{" ", "ab"}));
}

TEST(ScoredPieces, MergeCharactersThatAreNoPieceThemselves) {
  const BpeTokenizer t(piece_spec({{"\u2581", -1}, {"xy", -2}}));
  EXPECT_EQ(pieces_of(t, "xyx"), (Strings{" ", "xy", "x"}));
  EXPECT_EQ(t.encode("x", false, false).back(), 3 + 'x');
}

TEST(ScoredPieces, NeverMergeIntoAControlToken) {
  const BpeTokenizer t(piece_spec({{"<", -1}, {"s", -2}, {">", -3}, {"<s", -4}, {"\u2581", -5}}));
  EXPECT_EQ(pieces_of(t, "<s>"), (Strings{" ", "<s", ">"}));
}

TEST(ScoredPieces, FallBackToBytesThenToUnknown) {
  const BpeTokenizer bytes(piece_spec({{"\u2581", -1}}));
  EXPECT_EQ(bytes.encode("\u00E9", false, false), (std::vector<TokenId>{259, 3 + 0xC3, 3 + 0xA9}));
  const BpeTokenizer none(piece_spec({{"\u2581", -1}}, false));
  EXPECT_EQ(none.encode("\u00E9", false, false), (std::vector<TokenId>{3, 0}));
}

TEST(ScoredPieces, GiveBackTheSpaceInFrontOnlyAfterABos) {
  const BpeTokenizer t(piece_spec({{"\u2581", -1}, {"a", -2}, {"\u2581a", -1}}));
  const auto ids = t.encode(" a", true, false);
  EXPECT_EQ(t.decode(ids), " a");
  // A continuation keeps its space.
  EXPECT_EQ(t.decode(std::span(ids).subspan(1)), "  a");
}

// Quadratic merging or splitting would take hours here.
TEST(BpeTokenizer, StaysFastOnHostileTexts) {
  std::vector<std::pair<std::string, std::string>> doubling;
  for (std::string a = "a"; a.size() < 128; a += a) doubling.emplace_back(a, a);
  const BpeTokenizer bytes(byte_spec(doubling));
  EXPECT_EQ(bytes.encode(std::string(1 << 20, 'a'), false, false).size(), size_t{1 << 13});

  const BpeTokenizer pieces(piece_spec({{"a", -2}, {"aa", -1}, {"\u2581", -3}}));
  EXPECT_EQ(pieces.encode(std::string(1 << 20, 'a'), false, false).size(), size_t{1 << 19} + 1);

  Spec nfc = byte_spec({});
  nfc.nfc = true;
  std::string marks = "a";
  for (int i = 0; i < 50000; ++i) marks += "\u0301\u0316";  // classes 230 and 220, alternating
  EXPECT_EQ(BpeTokenizer(nfc).encode(marks, false, false).size(), 2u + 50000 * 2 + 49999 * 2);
}

TEST(PreTokenizer, LooksAtEveryCharacterAFewTimesOnly) {
  for (const char* name :
       {"default", "gpt-2", "smollm", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-coder"}) {
    const auto pre = PreTokenizer::by_gguf_name(name, "test");
    for (const std::string unit :
         {"a", " ", "\n", " \t", "1", "'", "!", "\u0301", "\u4E00", " x"}) {
      std::string text;
      while (text.size() < (1 << 17)) text += unit;
      size_t covered = 0;
      for (const auto& [begin, end] : pre.split(decode_chars(text + "x"))) {
        EXPECT_EQ(begin, covered);
        covered = end;
      }
      EXPECT_EQ(covered, decode_chars(text + "x").size());
    }
  }
}

TEST(PreTokenizer, RefusesANameThatItDoesNotKnow) {
  try {
    PreTokenizer::by_gguf_name("tekken", "f.gguf");
    FAIL();
  } catch (const ModelFileError& e) {
    EXPECT_NE(std::string(e.what()).find("f.gguf: tokenizer.ggml.pre is 'tekken', known are"),
              std::string::npos)
        << e.what();
  }
}

TEST(AddedTokens, PreferTheLeftmostThenTheLongest) {
  AddedTokens added;
  added.add({.id = 1, .content = "ab"}, "ab");
  added.add({.id = 2, .content = "bcd"}, "bcd");
  added.add({.id = 3, .content = "abx"}, "abx");
  std::string shown;
  for (const auto& part : added.cut("zabcdabxbcd", false)) {
    shown += part.token ? std::to_string(part.token->id) : "[" + std::string(part.text) + "]";
  }
  EXPECT_EQ(shown, "[z]1[cd]32");
}

TEST(AddedTokens, TakeTheSpacesThatTheyStrip) {
  AddedTokens added;
  added.add({.id = 1, .content = "<m>", .lstrip = true, .rstrip = true}, "<m>");
  std::string shown;
  for (const auto& part : added.cut("a \u3000<m>\t\n b<m>", false)) {
    shown += part.token ? "#" : "[" + std::string(part.text) + "]";
  }
  EXPECT_EQ(shown, "[a]#[b]#");
}

TEST(Unicode, DecodesStrictly) {
  EXPECT_EQ(decode_utf8("\xE2\x96\x81", 0).code, char32_t{0x2581});
  for (const char* bad :
       {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x96", "\x80", "\xFF"}) {
    EXPECT_EQ(decode_utf8(bad, 0).code, kInvalid) << bad;
    EXPECT_EQ(decode_utf8(bad, 0).size, 1u);
  }
}

TEST(Unicode, ComposesAndKeepsInvalidBytes) {
  EXPECT_EQ(to_nfc("e\u0301"), "\u00E9");
  EXPECT_EQ(to_nfc("a\u0301\u0316"), "\u00E1\u0316");  // reordered: the lower mark goes first
  EXPECT_EQ(to_nfc("\u1112\u1161\u11AB"), "\uD55C");
  EXPECT_EQ(to_nfc("\u212B"), "\u00C5");
  EXPECT_EQ(to_nfc("e\xFF\u0301"), "e\xFF\u0301");
}

}  // namespace
}  // namespace engine::tokenizer
