// Owns the recognition of chat templates.
#include "engine/tokenizer/chat_template.h"

namespace engine::tokenizer {

std::unique_ptr<const ChatTemplate> ChatTemplate::recognise(std::string_view) { return nullptr; }

}  // namespace engine::tokenizer
