// Owns the byte-level alphabet.
#include "engine/tokenizer/byte_alphabet.h"

#include <array>

#include "engine/tokenizer/unicode.h"

namespace engine::tokenizer {
namespace {

struct ByteTable {
  std::array<char32_t, 256> symbol{};
  std::array<int16_t, 512> byte{};

  ByteTable() {
    byte.fill(-1);
    char32_t next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      symbol[b] = printable ? static_cast<char32_t>(b) : next++;
      byte[symbol[b]] = static_cast<int16_t>(b);
    }
  }
};

const ByteTable& alphabet() {
  static const ByteTable table;
  return table;
}

}  // namespace

char32_t byte_to_symbol(uint8_t byte) { return alphabet().symbol[byte]; }

std::optional<std::string> symbols_to_bytes(std::string_view entry) {
  std::string bytes;
  for (size_t at = 0; at < entry.size();) {
    const Decoded d = decode_utf8(entry, at);
    if (d.code >= alphabet().byte.size() || alphabet().byte[d.code] < 0) return std::nullopt;
    bytes += static_cast<char>(alphabet().byte[d.code]);
    at += d.size;
  }
  return bytes;
}

}  // namespace engine::tokenizer
