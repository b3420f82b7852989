// Owns AddedTokens.
#include "engine/tokenizer/added_tokens.h"

#include <algorithm>

#include "engine/tokenizer/unicode.h"

namespace engine::tokenizer {
namespace {

uint64_t edge(uint32_t node, char byte) {
  return (static_cast<uint64_t>(node) << 8) | static_cast<unsigned char>(byte);
}

}  // namespace

void AddedTokens::add(const AddedToken& token, std::string_view content) {
  if (content.empty()) return;
  uint32_t node = 0;
  for (char byte : content) {
    const auto [it, fresh] =
        children_.try_emplace(edge(node, byte), static_cast<uint32_t>(nodes_.size()));
    if (fresh) nodes_.push_back({});
    node = it->second;
  }
  first_byte_[static_cast<unsigned char>(content[0])] = true;
  nodes_[node].token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
}

const AddedToken* AddedTokens::longest_at(std::string_view text, size_t at, bool parse_special,
                                          size_t* size) const {
  const AddedToken* best = nullptr;
  if (!first_byte_[static_cast<unsigned char>(text[at])]) return best;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto it = children_.find(edge(node, text[i]));
    if (it == children_.end()) break;
    node = it->second;
    const int32_t token = nodes_[node].token;
    if (token >= 0 && (parse_special || !tokens_[token].special)) {
      best = &tokens_[token];
      *size = i + 1 - at;
    }
  }
  return best;
}

std::vector<AddedTokens::Part> AddedTokens::cut(std::string_view text, bool parse_special) const {
  std::vector<Part> parts;
  size_t begin = 0;  // of the text not yet given out
  for (size_t at = 0; at < text.size();) {
    size_t size = 0;
    const AddedToken* token = longest_at(text, at, parse_special, &size);
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::string_view before = text.substr(begin, at - begin);
    if (token->lstrip) before.remove_suffix(trailing_space_bytes(before));
    if (!before.empty()) parts.push_back({before, nullptr});
    parts.push_back({text.substr(at, size), token});
    at += size;
    if (token->rstrip) at += leading_space_bytes(text.substr(at));
    begin = at;
  }
  if (begin < text.size()) parts.push_back({text.substr(begin), nullptr});
  return parts;
}

}  // namespace engine::tokenizer
