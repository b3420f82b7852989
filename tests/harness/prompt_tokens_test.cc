#include "harness/prompt_tokens.h"

#include <gtest/gtest.h>

#include "tests/harness/byte_tokenizer.h"

namespace {

using harness::tokenise;
using tasks::Query;
using tasks::Truncation;
using test_support::ByteTokenizer;

std::vector<engine::TokenId> ids(std::string_view text) {
  return ByteTokenizer().encode(text, false, false);
}

// A header of 10 bytes, five demonstrations and an item, all of different letters.
Query five_shot(size_t demonstration_bytes, size_t item_bytes) {
  Query q;
  q.header = std::string(10, 'h');
  for (char c = 'a'; c < 'f'; ++c) q.demonstrations.emplace_back(demonstration_bytes, c);
  q.item = std::string(item_bytes, 'q');
  q.options = {" A", " B"};
  q.truncation = Truncation::drop_demonstrations_from_end;
  q.max_prompt_tokens = 2048;
  return q;
}

TEST(Tokenise, KeepsAPromptThatFits) {
  const Query q = five_shot(100, 100);
  const auto p = tokenise(ByteTokenizer(), q, 4096);
  EXPECT_EQ(p.text, q.prompt());
  EXPECT_EQ(p.prompt, ids(q.prompt()));
  EXPECT_EQ(p.dropped_demonstrations, 0);
  EXPECT_EQ(p.dropped_tokens, 0);
  EXPECT_FALSE(p.too_long);
  ASSERT_EQ(p.options.size(), 2u);
  EXPECT_EQ(p.options[0], ids(" A"));
  EXPECT_EQ(p.options[1], ids(" B"));
}

TEST(Tokenise, DropsDemonstrationsFromTheEnd) {
  const Query q = five_shot(600, 100);  // 10 + 3 * 600 + 100 fits into 2048, four do not
  const auto p = tokenise(ByteTokenizer(), q, 8192);
  EXPECT_EQ(p.dropped_demonstrations, 2);
  EXPECT_EQ(p.text, q.prompt(3));
  EXPECT_EQ(p.prompt, ids(q.prompt(3)));
  EXPECT_FALSE(p.too_long);
}

TEST(Tokenise, TakesExactly2048TokensAndNotOneMore) {
  // 10 + 4 * 500 + 38 = 2048
  EXPECT_EQ(tokenise(ByteTokenizer(), five_shot(500, 38), 8192).dropped_demonstrations, 1);
  EXPECT_EQ(tokenise(ByteTokenizer(), five_shot(500, 38), 8192).prompt.size(), 2048u);
  EXPECT_EQ(tokenise(ByteTokenizer(), five_shot(500, 39), 8192).dropped_demonstrations, 2);
  // The token that begins a sequence counts.
  EXPECT_EQ(
      tokenise(ByteTokenizer({.adds_bos = true}), five_shot(500, 38), 8192).dropped_demonstrations,
      2);
}

TEST(Tokenise, SaysBothNumbersWhenNoDemonstrationIsLeftToDrop) {
  const auto p = tokenise(ByteTokenizer(), five_shot(10, 3000), 8192);
  EXPECT_TRUE(p.too_long);
  EXPECT_EQ(p.dropped_demonstrations, 5);
  EXPECT_EQ(p.detail, "prompt has 3010 tokens, room for 2048");
}

TEST(Tokenise, ObeysTheModelsContextWhereItIsTheSmallerOne) {
  // Two tokens an option: one more position than the prompt's.
  const auto p = tokenise(ByteTokenizer(), five_shot(100, 100), 411);
  EXPECT_EQ(p.dropped_demonstrations, 2);  // 10 + 3 * 100 + 100 = 410
  EXPECT_EQ(tokenise(ByteTokenizer(), five_shot(100, 100), 410).dropped_demonstrations, 3);
}

TEST(Tokenise, CutsTokensFromTheLeft) {
  Query q;
  for (int i = 0; i < 150; ++i) q.item += static_cast<char>('!' + i % 90);
  q.options = {"abc", "d"};
  q.truncation = Truncation::left_tokens;
  const auto p = tokenise(ByteTokenizer(), q, 100);
  EXPECT_FALSE(p.too_long);
  EXPECT_EQ(p.dropped_tokens, 52);  // 100 positions, of which 2 for the longest option
  EXPECT_EQ(p.prompt, ids(q.item.substr(52)));
  EXPECT_EQ(p.options[0], ids("abc"));
  EXPECT_EQ(p.options[1], ids("d"));
}

TEST(Tokenise, RefusesWhereTheRuleCutsNothing) {
  Query q;
  q.item = std::string(98, 'q');
  q.options = {"abc"};
  EXPECT_FALSE(tokenise(ByteTokenizer(), q, 100).too_long);
  q.item += 'q';
  const auto p = tokenise(ByteTokenizer(), q, 100);
  EXPECT_TRUE(p.too_long);
  EXPECT_EQ(p.detail, "prompt has 99 tokens, room for 98");
}

TEST(Tokenise, MovesTrailingSpacesIntoTheOption) {
  Query q;
  q.item = "Answer:  ";
  q.options = {"A", "BB"};
  const auto p = tokenise(ByteTokenizer(), q, 100);
  EXPECT_EQ(p.prompt, ids("Answer:"));
  EXPECT_EQ(p.options[0], ids("  A"));
  EXPECT_EQ(p.options[1], ids("  BB"));
  EXPECT_EQ(p.text, q.item);
}

TEST(Tokenise, SplitsAnOptionAtThePromptsOwnLength) {
  // Alone the prompt is "a", "x"; with the option its last byte merges with the option's first.
  const ByteTokenizer tokenizer({.pair = "xy"});
  Query q;
  q.item = "ax";
  q.options = {"yb", "zb"};
  const auto p = tokenise(tokenizer, q, 100);
  EXPECT_EQ(p.prompt, ids("ax"));
  EXPECT_EQ(p.options[0], ids("b"));
  EXPECT_EQ(p.options[1], ids("zb"));
  EXPECT_FALSE(p.too_long);
}

TEST(Tokenise, RefusesAnOptionWithoutTokensOfItsOwn) {
  Query q;
  q.item = "ax";
  q.options = {"b", "y"};
  const auto p = tokenise(ByteTokenizer({.pair = "xy"}), q, 100);
  EXPECT_TRUE(p.too_long);
  EXPECT_NE(p.detail.find("no tokens of its own"), std::string::npos) << p.detail;
}

TEST(Tokenise, ScoresTheReferenceOfAGenerationAndKeepsRoomForOneToken) {
  Query q;
  q.kind = Query::Kind::generate;
  q.item = "def f():\n ";
  q.max_new_tokens = 50;
  const auto plain = tokenise(ByteTokenizer(), q, 11);
  EXPECT_FALSE(plain.too_long);
  EXPECT_TRUE(plain.options.empty());
  EXPECT_EQ(plain.prompt, ids("def f():\n "));  // a generation continues exactly the bytes given
  EXPECT_TRUE(tokenise(ByteTokenizer(), q, 10).too_long);
  q.reference = " return 1\n";
  const auto p = tokenise(ByteTokenizer(), q, 100);
  ASSERT_EQ(p.options.size(), 1u);
  EXPECT_EQ(p.options[0], ids(" return 1\n"));
}

TEST(Tokenise, KeepsEveryByteOfAReferenceThatMergesWithThePrompt) {
  // "x" at the prompt's end and "y" at the reference's start are one token when joined.
  Query q;
  q.kind = Query::Kind::generate;
  q.max_new_tokens = 5;
  q.item = "ax";
  q.reference = "yb";
  const auto p = tokenise(ByteTokenizer({.pair = "xy"}), q, 100);
  EXPECT_EQ(p.prompt, ids("ax"));
  ASSERT_EQ(p.options.size(), 1u);
  EXPECT_EQ(p.options[0], ids("yb"));
}

TEST(Tokenise, AsksAQueryWhoseReferenceDoesNotFit) {
  Query q;
  q.kind = Query::Kind::generate;
  q.max_new_tokens = 5;
  q.item = "abc";
  q.reference = "0123456789";
  const auto p = tokenise(ByteTokenizer(), q, 8);
  EXPECT_FALSE(p.too_long);
  EXPECT_TRUE(p.options.empty());
}

TEST(Tokenise, RendersAChatByTheModelsTemplate) {
  Query q;
  q.is_chat = true;
  q.kind = Query::Kind::generate;
  q.max_new_tokens = 5;
  q.turns = {{"user", "2+2?"}};
  q.prefill = "It is";
  const auto p = tokenise(ByteTokenizer({.adds_bos = true, .chat = true}), q, 100);
  EXPECT_EQ(p.text, "~[user]2+2?[assistant]It is");
  // The template names the first token itself: it is there once.
  auto expected = ids("[user]2+2?[assistant]It is");
  expected.insert(expected.begin(), ByteTokenizer::kBos);
  EXPECT_EQ(p.prompt, expected);
  EXPECT_THROW(tokenise(ByteTokenizer(), q, 100), std::invalid_argument);
}

TEST(Tokenise, TakesSpecialTokensInAPlainPromptAsText) {
  Query q;
  q.item = "a~b";
  q.options = {"c"};
  EXPECT_EQ(tokenise(ByteTokenizer({.adds_bos = true}), q, 100).prompt,
            (std::vector<engine::TokenId>{ByteTokenizer::kBos, 'a' - 32, '~' - 32, 'b' - 32}));
}

}  // namespace
