// Owns the tokenizer interface: text to token ids and back. Implementations live in
// engine/tokenizer/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace engine {

using TokenId = int32_t;

struct ChatTurn {
  std::string role;  // system, user, assistant
  std::string content;
};

// Immutable after load; may be used from many threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // path: a .gguf file, or a folder with tokenizer.json (tokenizer_config.json is read when there)
  // or tokenizer.gguf (a converted model's).
  // Throws ModelFileError.
  static std::unique_ptr<Tokenizer> load(const std::filesystem::path&);

  virtual int64_t vocab_size() const = 0;
  // Ids of text. parse_special: special tokens written in the text become their id. add_bos: the
  // beginning-of-sequence token is put in front when the model asks for one.
  virtual std::vector<TokenId> encode(std::string_view text, bool add_bos,
                                      bool parse_special) const = 0;
  // Bytes of one token, and text of several. Control tokens give nothing unless asked; ids that do
  // not exist give nothing. Text may end inside a UTF-8 sequence. The space that SentencePiece
  // models put before text is taken back only when the ids begin with BOS: a continuation is the
  // exact bytes of its tokens.
  virtual std::string decode(std::span<const TokenId>, bool special = false) const = 0;
  virtual std::string token_bytes(TokenId) const = 0;

  virtual std::optional<TokenId> bos() const = 0;
  virtual const std::vector<TokenId>& end_of_generation() const = 0;  // eos, eot, im_end ...
  virtual bool adds_bos() const = 0;  // what the file says the model was trained with

  // Name of the known chat template that the file's template text equals, or empty: templates are
  // data and never executed.
  virtual std::string_view chat_template() const = 0;
  // Renders turns and the opening of the assistant's turn, byte for byte as the model's template:
  // with the BOS where the template writes it, so encode the text with add_bos = false and
  // parse_special = true. Throws std::invalid_argument when the model has no known template or the
  // format cannot hold the turns.
  virtual std::string render_chat(std::span<const ChatTurn>, bool open_assistant) const = 0;

  // SHA-independent description of the vocabulary for fingerprints: kind, pre-tokenizer, size.
  virtual std::string description() const = 0;
};

}  // namespace engine
