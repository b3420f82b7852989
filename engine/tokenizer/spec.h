// Owns Spec: a tokenizer as data, whatever file it came from. Readers fill it, BpeTokenizer runs
// it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/tokenizer.h"
#include "engine/tokenizer/pre_tokenizer.h"

namespace engine {
class GgufFile;
}

namespace engine::tokenizer {

inline constexpr int64_t kMaxVocab = int64_t{1} << 20;
inline constexpr size_t kMaxTokenBytes = 4096;
inline constexpr size_t kMaxAddedTokenBytes = 512;

// Numbers as in tokenizer.ggml.token_type.
enum class TokenKind : uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6,
};

// A token found in the text before anything else is done to it.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool special = false;     // matched only when special tokens are parsed; a control token
  bool lstrip = false;      // takes the white space before it
  bool rstrip = false;      // takes the white space after it
  bool normalized = false;  // looked for after normalisation, else before
};

struct MergeRule {
  TokenId left = 0, right = 0, merged = 0;
};

enum class Alphabet {
  bytes,     // byte-level BPE: entries are written in the byte alphabet
  metaspace  // SentencePiece style: entries are text with U+2581 for a space, <0xXX> for bytes
};

// Where a space is put in front of text: nowhere, at the start of the text only, or at the start
// of every stretch between added tokens (SentencePiece as llama.cpp and the older files do it).
enum class SpacePrefix { never, first, every };

struct Spec {
  std::string file;  // for messages
  std::string pre_name;
  Alphabet alphabet = Alphabet::bytes;

  std::vector<std::string> entries;  // id -> text as in the file
  std::vector<TokenKind> kinds;      // id -> kind
  std::vector<AddedToken> added;

  // Merges in order of rank, or scores (higher first) when the file has those instead.
  std::vector<MergeRule> merges;
  std::vector<float> scores;

  bool nfc = false;
  bool spaces_to_metaspace = false;  // " " -> U+2581 before merging
  SpacePrefix space_prefix = SpacePrefix::never;
  bool metaspace_after_cut = false;    // spaces are changed after the second look for added tokens
  bool prefix_needs_no_space = false;  // the prefix is left out where a space stands already
  bool ignore_merges = false;          // a word that is an entry is taken whole
  bool fuse_unknown = false;
  PreTokenizer pre;

  std::optional<TokenId> bos, eos, unknown;
  bool add_bos = false;
  std::vector<TokenId> end_of_generation;
  std::string chat_template;  // as in the file; never executed
};

// Readers. Throw ModelFileError.
Spec read_gguf_spec(const GgufFile&);
Spec read_json_spec(const std::filesystem::path& folder);

// Adds eos and every token whose text is a known end of a turn or text; sorted, unique.
void collect_end_of_generation(Spec&);

std::unique_ptr<Tokenizer> make_tokenizer(Spec);

}  // namespace engine::tokenizer
