// A tokenizer that tests can reckon with: one token per byte of printable ASCII or '\n'.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer.h"

namespace test_support {

// 97 tokens: bytes 32 to 126 are 0 to 94, '\n' is 95, 96 begins a sequence. '~' is the text of that
// special token. When a pair is given, its two bytes in a row are one token, that of '`'.
class ByteTokenizer : public engine::Tokenizer {
 public:
  struct Options {
    bool adds_bos = false, chat = false;
    std::string pair;
  };
  static constexpr engine::TokenId kBos = 96;

  ByteTokenizer() = default;
  explicit ByteTokenizer(Options options) : options_(std::move(options)) {}

  int64_t vocab_size() const override { return 97; }
  std::vector<engine::TokenId> encode(std::string_view text, bool add_bos,
                                      bool parse_special) const override {
    std::vector<engine::TokenId> out;
    if (add_bos && options_.adds_bos) out.push_back(kBos);
    for (size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (!options_.pair.empty() && text.substr(i, 2) == options_.pair) {
        out.push_back('`' - 32);
        ++i;
      } else if (c == '~' && parse_special) {
        out.push_back(kBos);
      } else {
        out.push_back(c == '\n' ? 95 : c - 32);
      }
    }
    return out;
  }
  std::string decode(std::span<const engine::TokenId> ids, bool) const override {
    std::string out;
    for (const auto id : ids) out += token_bytes(id);
    return out;
  }
  std::string token_bytes(engine::TokenId id) const override {
    if (id == kBos) return "";
    if (id == '`' - 32 && !options_.pair.empty()) return options_.pair;
    return std::string(1, id == 95 ? '\n' : static_cast<char>(id + 32));
  }
  std::optional<engine::TokenId> bos() const override { return kBos; }
  const std::vector<engine::TokenId>& end_of_generation() const override { return end_; }
  bool adds_bos() const override { return options_.adds_bos; }
  std::string_view chat_template() const override { return options_.chat ? "test" : ""; }
  std::string render_chat(std::span<const engine::ChatTurn> turns,
                          bool open_assistant) const override {
    if (!options_.chat) throw std::invalid_argument("no known chat template");
    std::string out = "~";
    for (const auto& t : turns) out += "[" + t.role + "]" + t.content;
    return out + (open_assistant ? "[assistant]" : "");
  }
  std::string description() const override { return "one token per byte"; }

 private:
  Options options_;
  std::vector<engine::TokenId> end_ = {kBos};
};

}  // namespace test_support
