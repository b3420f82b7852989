// Owns the deterministic lines that tokenizers are compared on: code, many scripts, emoji, white
// space runs, digits, contractions, combining marks, control characters, texts that look like
// special tokens. All lines are valid UTF-8 (the peers take nothing else) and may hold line ends.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/tokenizer.h"

namespace engine::tokenizer_test {

inline constexpr uint32_t kLines = 10400;
inline constexpr uint32_t kLinesPerHash = 100;

std::string corpus_line(uint32_t index);

// FNV-1a over the ids as little-endian 32-bit words and an end mark.
struct IdHash {
  uint64_t value = 0xcbf29ce484222325;
  void add(std::span<const TokenId> ids);
};

}  // namespace engine::tokenizer_test
