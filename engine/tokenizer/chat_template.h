// Owns ChatTemplate: the known chat formats, recognised by the text of the model's template and
// rendered by our own code. The template itself is data and never executed.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/tokenizer.h"

namespace engine::tokenizer {

enum class ChatStyle {
  chatml,
  qwen3,
  llama2,
  llama3,
  llama3_dated,
  mistral,
  mistral_v1,
  phi3,
  phi3_5,
  phi3_small,
  zephyr
};

struct ChatFormat {
  std::string_view name;
  ChatStyle style;
  bool writes_bos = false;
  bool always_opens = false;  // the template opens the assistant's turn unasked
};

class ChatTemplate {
 public:
  // The format that a template's text stands for; nothing when it is not a known one.
  static std::optional<ChatTemplate> recognise(std::string_view text);
  // For tests: the format as if its template had been recognised.
  static std::optional<ChatTemplate> by_name(std::string_view name, std::string default_system);

  std::string_view name() const { return format_.name; }
  // What is said in the system's turn when the turns have none; empty when nothing is.
  const std::string& default_system() const { return default_system_; }

  // Byte for byte what the model's template gives. bos, eos: text of those tokens. Throws
  // std::invalid_argument when the format cannot hold the turns (a role it does not have, an order
  // it forbids).
  std::string render(std::span<const ChatTurn> turns, bool open_assistant, std::string_view bos,
                     std::string_view eos) const;

 private:
  ChatTemplate(ChatFormat format, std::string default_system)
      : format_(format), default_system_(std::move(default_system)) {}

  ChatFormat format_;
  std::string default_system_;
};

// What recognition compares: the text with its default system message cut out and given apart,
// escapes of line ends resolved and white space at the end removed; and its FNV-1a hash.
struct TemplateKey {
  std::string default_system;
  uint64_t hash = 0;
};
TemplateKey template_key(std::string_view text);

}  // namespace engine::tokenizer
