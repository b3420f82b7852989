// Owns PreTokenizer: cuts text into the words that byte-pair merging works in. The patterns that
// published models use are hand-written linear matchers, picked by a GGUF name or by the exact text
// of a regular expression; no regular expression from a file is ever run.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tokenizer/unicode.h"

namespace engine::tokenizer {

// End of the match that begins at `at` in the piece, or `at` when none does. Looks at no more than
// a constant number of characters beyond the match, so that a scan is linear.
using Matcher = size_t (*)(std::span<const Char> piece, size_t at);

size_t match_gpt2(std::span<const Char>, size_t);
size_t match_one_number(std::span<const Char>, size_t);
size_t match_number_run(std::span<const Char>, size_t);
size_t match_metaspace_word(std::span<const Char>, size_t);  // U+2581 and what follows it

class PreTokenizer {
 public:
  // Half-open ranges of characters.
  using Pieces = std::vector<std::pair<size_t, size_t>>;

  PreTokenizer() = default;  // one piece

  // By the name in tokenizer.ggml.pre. Throws ModelFileError naming file and known names.
  static PreTokenizer by_gguf_name(std::string_view name, const std::string& file);

  // Every later step cuts the pieces of the steps before it; what does not match stays a piece.
  void add_step(Matcher match) { steps_.push_back(match); }
  bool empty() const { return steps_.empty(); }

  Pieces split(std::span<const Char> chars) const;

 private:
  std::vector<Matcher> steps_;
};

}  // namespace engine::tokenizer
