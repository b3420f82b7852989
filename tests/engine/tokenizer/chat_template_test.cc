// Owns the comparison of rendered chats with jinja2 on the models' own templates.
#include "engine/tokenizer/chat_template.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

namespace engine::tokenizer {
namespace {

using nlohmann::json;

json goldens() {
  std::ifstream file(MOEVAL_SOURCE_DIR "/tests/engine/tokenizer/golden/chat_goldens.json");
  return json::parse(file).at("cases");
}

TEST(ChatTemplate, RendersWhatJinjaRenders) {
  std::set<std::string> formats;
  int rendered = 0, refused = 0;
  for (const json& c : goldens()) {
    const std::string name = c["template"];
    formats.insert(name);
    const auto format = ChatTemplate::by_name(name, c["default_system"]);
    ASSERT_TRUE(format) << name;
    std::vector<ChatTurn> turns;
    for (const json& t : c["turns"]) turns.push_back({t[0], t[1]});
    if (c["text"].is_null()) {
      EXPECT_THROW(format->render(turns, c["open"], "<s>", "</s>"), std::invalid_argument) << c;
      ++refused;
    } else {
      EXPECT_EQ(format->render(turns, c["open"], "<s>", "</s>"), c["text"].get<std::string>()) << c;
      ++rendered;
    }
  }
  EXPECT_EQ(formats.size(), 16u);
  EXPECT_GT(rendered, 200);
  EXPECT_GT(refused, 10);
}

TEST(ChatTemplate, TakesTheDefaultSystemMessageOutOfTheText) {
  const std::string head = "{{ '<|im_start|>system\\n", tail = "<|im_end|>\\n' }}{{ rest }}\n";
  const TemplateKey a = template_key(head + "You are A." + tail);
  const TemplateKey b = template_key(head + "You are another.\nB" + tail);
  EXPECT_EQ(a.default_system, "You are A.");
  EXPECT_EQ(b.default_system, "You are another.\nB");
  EXPECT_EQ(a.hash, b.hash);
  // A message that could end the literal, or begin an expression, is not a message.
  EXPECT_EQ(template_key(head + "' + secret + '" + tail).default_system, "");
  EXPECT_EQ(template_key(head + "{{ x }}" + tail).default_system, "");
  EXPECT_NE(template_key(head + "You are A." + tail + "x").hash, a.hash);
}

TEST(ChatTemplate, DoesNotRecogniseATextThatOnlyResemblesAKnownOne) {
  EXPECT_FALSE(ChatTemplate::recognise(""));
  EXPECT_FALSE(ChatTemplate::recognise("{{ '<|im_start|>' }}"));
  EXPECT_FALSE(ChatTemplate::recognise("{% include '/etc/passwd' %}"));
}

TEST(ChatTemplate, RefusesRolesAndTurnsThatAFormatDoesNotHave) {
  const auto chatml = ChatTemplate::by_name("chatml", "");
  const std::vector<ChatTurn> tool = {{"tool", "x"}};
  EXPECT_THROW(chatml->render(tool, true, "", ""), std::invalid_argument);
  EXPECT_THROW(chatml->render({}, true, "", ""), std::invalid_argument);
}

TEST(ChatTemplate, OfSmolLm2SaysItsDefaultSystemMessage) {
  const char* path = std::getenv("MOEVAL_MODEL");
  if (path == nullptr) GTEST_SKIP() << "MOEVAL_MODEL (the SmolLM2 GGUF) is not set";
  const auto tokenizer = Tokenizer::load(path);
  EXPECT_EQ(tokenizer->chat_template(), "chatml-system");
  const std::vector<ChatTurn> turns = {{"user", "Hi"}};
  const std::string text = tokenizer->render_chat(turns, true);
  EXPECT_EQ(text,
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  const auto ids = tokenizer->encode(text, false, true);
  EXPECT_EQ(ids.front(), 1);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 2);
}

TEST(ChatTemplate, OfPhi3IsRecognisedInItsVocabulary) {
  const char* folder = std::getenv("MOEVAL_VOCAB");
  if (folder == nullptr) GTEST_SKIP() << "MOEVAL_VOCAB is not set";
  const auto tokenizer = Tokenizer::load(std::string(folder) + "/ggml-vocab-phi-3.gguf");
  EXPECT_EQ(tokenizer->chat_template(), "phi-3");
  const std::vector<ChatTurn> turns = {{"user", "Hi"}};
  EXPECT_EQ(tokenizer->render_chat(turns, true), "<s><|user|>\nHi<|end|>\n<|assistant|>\n");
}

}  // namespace
}  // namespace engine::tokenizer
