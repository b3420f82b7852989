// Owns ChatTemplate: the known chat formats, recognised by the text of the model's template and
// rendered by our own code. The template itself is data and never executed.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/tokenizer.h"

namespace engine::tokenizer {

class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;

  // The format that a template's text stands for; nullptr when it is not a known one.
  static std::unique_ptr<const ChatTemplate> recognise(std::string_view text);

  virtual std::string_view name() const = 0;
  // bos, eos: text of those tokens. Throws std::invalid_argument when the format cannot hold the
  // turns (a role it does not have, an order it forbids).
  virtual std::string render(std::span<const ChatTurn> turns, bool open_assistant,
                             std::string_view bos, std::string_view eos) const = 0;
};

}  // namespace engine::tokenizer
