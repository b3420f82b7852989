// A tool for golden/make_goldens.py: writes the comparison lines to stdout, each after its size in
// bytes (32 bits, little-endian).
#include <cstdio>

#include "tests/engine/tokenizer/line_corpus.h"

int main() {
  for (uint32_t i = 0; i < engine::tokenizer_test::kLines; ++i) {
    const std::string line = engine::tokenizer_test::corpus_line(i);
    const uint32_t n = static_cast<uint32_t>(line.size());
    const unsigned char size[4] = {
        static_cast<unsigned char>(n), static_cast<unsigned char>(n >> 8),
        static_cast<unsigned char>(n >> 16), static_cast<unsigned char>(n >> 24)};
    std::fwrite(size, 1, 4, stdout);
    std::fwrite(line.data(), 1, line.size(), stdout);
  }
}
