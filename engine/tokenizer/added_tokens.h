// Owns AddedTokens: finds the tokens that are looked for in the text itself.
#pragma once

#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/tokenizer/spec.h"

namespace engine::tokenizer {

class AddedTokens {
 public:
  void add(const AddedToken& token, std::string_view content);
  bool empty() const { return tokens_.empty(); }

  // A stretch of text, or a token in its place.
  struct Part {
    std::string_view text;
    const AddedToken* token = nullptr;
  };
  // Leftmost match first, the longest one there; special tokens only when asked for. Time is linear
  // in the text times the length of the longest token (at most kMaxAddedTokenBytes).
  std::vector<Part> cut(std::string_view text, bool parse_special) const;

 private:
  struct Node {
    int32_t token = -1;
  };
  const AddedToken* longest_at(std::string_view text, size_t at, bool parse_special,
                               size_t* size) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_{Node{}};                  // 0 is the root of the trie
  std::unordered_map<uint64_t, uint32_t> children_;  // (node << 8 | byte) -> node
  bool first_byte_[256] = {};
};

}  // namespace engine::tokenizer
