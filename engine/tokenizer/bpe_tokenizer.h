// Owns BpeTokenizer: encoding and decoding for byte-level and SentencePiece-style BPE.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/tokenizer.h"
#include "engine/tokenizer/added_tokens.h"
#include "engine/tokenizer/bpe_merger.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/spec.h"

namespace engine::tokenizer {

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(Spec spec);
  BpeTokenizer(const BpeTokenizer&) = delete;  // the index points into the entries
  BpeTokenizer& operator=(const BpeTokenizer&) = delete;

  int64_t vocab_size() const override { return static_cast<int64_t>(bytes_.size()); }
  std::vector<TokenId> encode(std::string_view text, bool add_bos,
                              bool parse_special) const override;
  std::string decode(std::span<const TokenId>, bool special = false) const override;
  std::string token_bytes(TokenId) const override;
  std::optional<TokenId> bos() const override { return spec_.bos; }
  const std::vector<TokenId>& end_of_generation() const override { return spec_.end_of_generation; }
  bool adds_bos() const override { return spec_.add_bos; }
  std::string_view chat_template() const override;
  std::string render_chat(std::span<const ChatTurn>, bool open_assistant) const override;
  std::string description() const override;

 private:
  bool known(TokenId id) const { return id >= 0 && id < vocab_size(); }
  void index_entries();
  void index_merges();
  void index_scores();
  std::string normalize(std::string_view text, bool prefix) const;
  std::string add_spaces(std::string text, bool prefix) const;
  void encode_words(std::string_view text, std::vector<TokenId>& out) const;
  void encode_word(std::string_view word, std::vector<TokenId>& symbols,
                   std::vector<TokenId>& out) const;
  void append_bytes(std::string_view c, std::vector<TokenId>& symbols) const;
  void append_unknown(std::vector<TokenId>& symbols) const;

  Spec spec_;
  std::vector<std::string> bytes_;                          // id -> bytes it decodes to
  std::unordered_map<std::string_view, TokenId> id_of_;     // mergeable entries, by their bytes
  std::unordered_map<std::string, TokenId> virtual_chars_;  // characters that only merges know
  std::vector<std::string> virtual_text_;
  std::array<TokenId, 256> byte_id_;  // -1 when the vocabulary has no token for the byte
  BpeMerger merger_;
  AddedTokens before_normalizing_, after_normalizing_;
  std::optional<ChatTemplate> template_;
};

}  // namespace engine::tokenizer
