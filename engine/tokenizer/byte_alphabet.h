// Owns the byte-level alphabet: the 256 printable code points that stand for bytes in the
// vocabularies of byte-level BPE (GPT-2's bytes_to_unicode).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace engine::tokenizer {

// Code point that stands for a byte: itself when printable Latin-1, else 256 + its rank.
char32_t byte_to_symbol(uint8_t byte);

// Bytes that a vocabulary entry stands for; nothing when it has a symbol outside the alphabet.
std::optional<std::string> symbols_to_bytes(std::string_view entry);

}  // namespace engine::tokenizer
