// Owns the deterministic lines that tokenizers are compared on.
#include "tests/engine/tokenizer/line_corpus.h"

#include <array>
#include <string_view>

#include "engine/tokenizer/unicode.h"

namespace engine::tokenizer_test {
namespace {

class Random {
 public:
  // Neighbouring seeds must not give the same stream one step apart.
  explicit Random(uint64_t seed) : state_(seed) { state_ = next() ^ (next() << 1); }
  // splitmix64 (Steele, Lea, Flood 2014).
  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(next() % n); }
  template <typename T, size_t N>
  const T& pick(const std::array<T, N>& from) {
    return from[below(N)];
  }

 private:
  uint64_t state_;
};

struct Range {
  char32_t first, last;
};

// Letters and marks of writing systems, as blocks or parts of blocks. Left out are the marks whose
// combining class changed after Unicode 9 (U+0D3B, U+0EBA and others): the NFC tables of Hugging
// Face tokenizers are that old, ours and Python's are not.
constexpr std::array<Range, 34> kScripts = {
    {{0x00C0, 0x017F}, {0x0180, 0x024F}, {0x0250, 0x02AF}, {0x0370, 0x03FF}, {0x0400, 0x052F},
     {0x0531, 0x0589}, {0x0590, 0x05F4}, {0x0600, 0x06FF}, {0x0700, 0x074A}, {0x0780, 0x07B1},
     {0x0900, 0x097F}, {0x0980, 0x09FB}, {0x0A01, 0x0A75}, {0x0B82, 0x0BFA}, {0x0C00, 0x0C39},
     {0x0D02, 0x0D3A}, {0x0E01, 0x0E5B}, {0x0E81, 0x0EB9}, {0x0F00, 0x0FBC}, {0x1000, 0x109F},
     {0x10A0, 0x10FF}, {0x1100, 0x11FF}, {0x1200, 0x139F}, {0x13A0, 0x13F4}, {0x1780, 0x17F9},
     {0x1820, 0x18AA}, {0x1E00, 0x1FFE}, {0x2C00, 0x2D2D}, {0x3041, 0x30FF}, {0x3105, 0x312F},
     {0x4E00, 0x9FA5}, {0xAC00, 0xD7A3}, {0xFB00, 0xFB4F}, {0xFF01, 0xFFDC}}};
constexpr std::array<Range, 14> kSymbols = {{{0x2010, 0x205E},
                                             {0x2070, 0x209C},
                                             {0x20A0, 0x20BF},
                                             {0x2100, 0x218B},
                                             {0x2190, 0x23FF},
                                             {0x2460, 0x24FF},
                                             {0x2500, 0x27BF},
                                             {0x2900, 0x2BFF},
                                             {0x3000, 0x303F},
                                             {0x3200, 0x33FF},
                                             {0x1D400, 0x1D7FF},
                                             {0x1F100, 0x1F1FF},
                                             {0x10140, 0x1018E},
                                             {0x12400, 0x12474}}};
constexpr std::array<Range, 5> kEmoji = {{{0x1F300, 0x1F5FF},
                                          {0x1F600, 0x1F64F},
                                          {0x1F680, 0x1F6C5},
                                          {0x1F900, 0x1F9FF},
                                          {0x2600, 0x26FF}}};
constexpr std::array<Range, 6> kMarks = {{{0x0300, 0x036F},
                                          {0x0591, 0x05BD},
                                          {0x064B, 0x065F},
                                          {0x093A, 0x094F},
                                          {0x20D0, 0x20F0},
                                          {0xFE20, 0xFE2F}}};
constexpr std::array<Range, 8> kDigits = {{{0x30, 0x39},
                                           {0x660, 0x669},
                                           {0x966, 0x96F},
                                           {0xB2, 0xB3},
                                           {0xBC, 0xBE},
                                           {0x2160, 0x2188},
                                           {0xFF10, 0xFF19},
                                           {0x1D7CE, 0x1D7FF}}};
constexpr std::array<std::string_view, 22> kSpaces = {
    " ",      " ",      " ",      "  ",     "    ",   "\t",      "\n",     "\r",
    "\r\n",   "\n\n",   "\v",     "\f",     "\u0085", "\u00A0",  "\u1680", "\u2003",
    "\u2009", "\u2028", "\u202F", "\u3000", "\u200B", "        "};
constexpr std::array<std::string_view, 48> kWords = {"the",         "of",
                                                     "Energy",      "evaluation",
                                                     "matrix",      "river",
                                                     "HTTP",        "iPhone",
                                                     "naive",       "co-op",
                                                     "e.g.",        "U.S.A.",
                                                     "quantum",     "photosynthesis",
                                                     "Question",    "Answer:",
                                                     "A.",          "B.",
                                                     "(C)",         "D)",
                                                     "treaty",      "velocity",
                                                     "x",           "y_1",
                                                     "foo_bar",     "CamelCase",
                                                     "snake_case",  "kebab-case",
                                                     "don't",       "I'll",
                                                     "they've",     "we're",
                                                     "she'd",       "I'm",
                                                     "it's",        "IT'S",
                                                     "DON'T",       "y'all'd've",
                                                     "o'clock",     "'tis",
                                                     "rock'n'roll", "\u2019s",
                                                     "caf\u00E9",   "na\u00EFve",
                                                     "\u00FCber",   "cafe\u0301",
                                                     "stra\u00DFe", "A\u030Angstro\u0308m"};
constexpr std::array<std::string_view, 30> kCode = {"def f(x):\n    return x ** 2\n",
                                                    "for (int i = 0; i < n; ++i) {\n\t",
                                                    "}\n\n",
                                                    "    ",
                                                    "\t\t",
                                                    "if x is None:\n        ",
                                                    "std::vector<int>",
                                                    "a[i] += b[j];",
                                                    "// note: ",
                                                    "# coding: utf-8\n",
                                                    "\"\"\"Doc string.\"\"\"\n",
                                                    "print(f\"{name!r:>10}\")",
                                                    "SELECT * FROM t WHERE a <> 'b';",
                                                    "<div class=\"row\">",
                                                    "</div>\n",
                                                    "{\"key\": [1, 2.5e-3, null]}",
                                                    "0xFF",
                                                    "1_000_000",
                                                    "x->y",
                                                    "!=",
                                                    "===",
                                                    "&&",
                                                    "||",
                                                    "...",
                                                    "\\n",
                                                    "\\u00e9",
                                                    "$HOME/.cache",
                                                    "--flag=value",
                                                    "https://example.org/a?b=c&d=%20#e",
                                                    "import numpy as np\n"};
constexpr std::array<std::string_view, 30> kLookalikes = {"<|im_start|>",
                                                          "<|im_end|>",
                                                          "<|endoftext|>",
                                                          "<s>",
                                                          "</s>",
                                                          "<unk>",
                                                          "<0x0A>",
                                                          "<0xFF>",
                                                          "<|eot_id|>",
                                                          "<|end|>",
                                                          "<|assistant|>",
                                                          "<fim_prefix>",
                                                          "[INST]",
                                                          "[/INST]",
                                                          "<<SYS>>",
                                                          "<|",
                                                          "|>",
                                                          "<",
                                                          "<|im_start",
                                                          "im_end|>",
                                                          "\u2581",
                                                          "\u2581\u2581",
                                                          "\u0120the",
                                                          "\u010A",
                                                          "<think>",
                                                          "[PAD32001]",
                                                          "<|user|>",
                                                          "\uFF5C",
                                                          "<|padding|>",
                                                          "\u00F5"};
constexpr std::array<std::string_view, 16> kSequences = {
    "\U0001F468\u200D\U0001F469\u200D\U0001F467\u200D\U0001F466",
    "\U0001F636\u200D\U0001F32B\uFE0F",
    "\U0001F1E9\U0001F1EA",
    "\U0001F44D\U0001F3FD",
    "\u2764\uFE0F",
    "3\uFE0F\u20E3",
    "\U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F",
    "\u2705",
    "\u00BD",
    "\u2460",
    "\uFEFF",
    "\uFFFD",
    "\u00AD",
    "\u202E\u202C",
    "\u0130",
    "\u017F"};

char32_t from(Random& random, Range range) {
  return range.first + random.below(static_cast<uint32_t>(range.last - range.first + 1));
}

template <size_t N>
void append(std::string& line, Random& random, const std::array<Range, N>& ranges, uint32_t most) {
  const Range range = random.pick(ranges);
  for (uint32_t n = 1 + random.below(most); n > 0; --n) {
    tokenizer::append_utf8(line, from(random, range));
  }
}

void append_ascii(std::string& line, Random& random, uint32_t most) {
  for (uint32_t n = 1 + random.below(most); n > 0; --n) {
    line += static_cast<char>(0x21 + random.below(0x7F - 0x21));
  }
}

}  // namespace

std::string corpus_line(uint32_t index) {
  Random random(index);
  std::string line;
  const uint32_t family = index % 13;
  for (uint32_t part = 2 + random.below(12); part > 0; --part) {
    switch (family) {
      case 0:
        line += random.pick(kWords);
        line += random.below(8) == 0 ? random.pick(kSpaces) : " ";
        break;
      case 1:
        line += random.pick(kCode);
        if (random.below(3) == 0) line += random.pick(kWords);
        break;
      case 2:
        append(line, random, kScripts, 9);
        line += random.below(3) == 0 ? random.pick(kSpaces) : " ";
        break;
      case 3:
        append(line, random, kEmoji, 3);
        line += random.pick(kSequences);
        break;
      case 4:
        line += random.pick(kSpaces);
        if (random.below(4) == 0) line += random.pick(kWords);
        break;
      case 5:
        append(line, random, kDigits, 8);
        if (random.below(3) == 0) line += random.pick(kSpaces);
        if (random.below(4) == 0) append_ascii(line, random, 3);
        break;
      case 6:
        line += static_cast<char>('a' + random.below(26));
        append(line, random, kMarks, 5);
        append(line, random, kScripts, 2);
        break;
      case 7:
        tokenizer::append_utf8(line, random.below(32));
        tokenizer::append_utf8(line, 0x7F + random.below(0x24));
        if (random.below(2) == 0) line += random.pick(kWords);
        break;
      case 8:
        line += random.pick(kLookalikes);
        if (random.below(3) == 0) line += random.pick(kSpaces);
        if (random.below(3) == 0) line += random.pick(kWords);
        break;
      case 9: {
        const std::string_view unit = random.below(2) == 0 ? random.pick(kWords) : "=";
        for (uint32_t n = random.below(30); n > 0; --n) line += unit;
        line += random.pick(kSpaces);
        break;
      }
      case 10:
        append_ascii(line, random, 12);
        if (random.below(3) == 0) line += random.pick(kSpaces);
        break;
      case 11:
        append(line, random, kSymbols, 4);
        if (random.below(3) == 0) line += random.pick(kWords);
        if (random.below(4) == 0) line += random.pick(kSpaces);
        break;
      default:
        line += "'";
        line += random.below(2) == 0 ? "" : " ";
        if (random.below(2) == 0) line += random.pick(kWords);
        append(line, random, kScripts, 3);
        if (random.below(2) == 0) append_ascii(line, random, 4);
        break;
    }
  }
  return line;
}

void IdHash::add(std::span<const TokenId> ids) {
  const auto mix = [this](uint32_t word) {
    for (int shift = 0; shift < 32; shift += 8) {
      value = (value ^ ((word >> shift) & 0xFF)) * 0x100000001b3;
    }
  };
  for (TokenId id : ids) mix(static_cast<uint32_t>(id));
  mix(0xFFFFFFFF);
}

}  // namespace engine::tokenizer_test
