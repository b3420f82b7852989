// Owns the reading of a tokenizer from GGUF metadata (tokenizer.ggml.*; ggml's docs/gguf.md).
#include <fmt/format.h>

#include <cmath>
#include <unordered_map>

#include "engine/model_file/gguf.h"
#include "engine/model_file/printable.h"
#include "engine/model_file_error.h"
#include "engine/tokenizer/spec.h"

namespace engine::tokenizer {
namespace {

constexpr const char* kPrefix = "tokenizer.ggml.";

[[noreturn]] void fail(const GgufFile& file, std::string_view key, const std::string& what) {
  throw ModelFileError(fmt::format("{}: {}{}: {}", file.name(), kPrefix, key, what));
}

std::string key(std::string_view name) { return std::string(kPrefix).append(name); }

void read_entries(const GgufFile& file, Spec& spec) {
  const GgufStrings tokens = file.string_array(key("tokens"));
  if (tokens.empty() || static_cast<int64_t>(tokens.size()) > kMaxVocab) {
    fail(file, "tokens", fmt::format("{} tokens, want 1 to {}", tokens.size(), int64_t{kMaxVocab}));
  }
  const std::vector<int32_t> kinds = file.i32_array(key("token_type"));
  if (!kinds.empty() && kinds.size() != tokens.size()) {
    fail(file, "token_type", fmt::format("{} types for {} tokens", kinds.size(), tokens.size()));
  }
  spec.entries.reserve(tokens.size());
  spec.kinds.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].size() > kMaxTokenBytes) {
      fail(file, "tokens",
           fmt::format("token {} has {} bytes, at most {} are taken", i, tokens[i].size(),
                       kMaxTokenBytes));
    }
    const int32_t kind = kinds.empty() ? 1 : kinds[i];
    if (kind < 1 || kind > 6) {
      fail(file, "token_type", fmt::format("token {} has type {}, want 1 to 6", i, kind));
    }
    spec.entries.emplace_back(tokens[i]);
    spec.kinds.push_back(static_cast<TokenKind>(kind));
  }
}

std::optional<TokenId> read_id(const GgufFile& file, const Spec& spec, std::string_view name) {
  const auto id = file.find_u32(key(name));
  if (id && *id >= spec.entries.size()) {
    // 2^32 - 1 is how some writers say "none".
    if (*id == UINT32_MAX) return std::nullopt;
    fail(file, name, fmt::format("is {}, but there are {} tokens", *id, spec.entries.size()));
  }
  return id ? std::optional<TokenId>(static_cast<TokenId>(*id)) : std::nullopt;
}

void read_merges(const GgufFile& file, Spec& spec) {
  std::unordered_map<std::string_view, TokenId> id_of;
  id_of.reserve(spec.entries.size());
  for (size_t i = 0; i < spec.entries.size(); ++i) {
    id_of.emplace(spec.entries[i], static_cast<TokenId>(i));
  }
  const GgufStrings lines = file.string_array(key("merges"));
  if (static_cast<int64_t>(lines.size()) > 2 * kMaxVocab) {
    fail(file, "merges", fmt::format("{} merges, at most {}", lines.size(), 2 * kMaxVocab));
  }
  spec.merges.reserve(lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = lines[i];
    // Neither part is empty, so the first space that can separate stands at 1 or later.
    const size_t cut = line.empty() ? std::string_view::npos : line.find(' ', 1);
    if (cut == std::string_view::npos || cut + 1 == line.size()) {
      fail(file, "merges", fmt::format("merge {} is {}, want two tokens", i, printable(line)));
    }
    const auto id = [&](const std::string& text) {
      const auto it = id_of.find(text);
      if (it == id_of.end()) {
        fail(file, "merges", fmt::format("merge {}: {} is no token", i, printable(text)));
      }
      return it->second;
    };
    const std::string left(line.substr(0, cut)), right(line.substr(cut + 1));
    spec.merges.push_back({id(left), id(right), id(left + right)});
  }
}

void read_added(const GgufFile& file, Spec& spec) {
  std::string name(file.find_string("general.name").value_or(""));
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  const bool phi3 = file.find_string("general.architecture").value_or("") == "phi3" ||
                    name.find("phi-3") != std::string::npos ||
                    name.find("phi3") != std::string::npos;
  for (size_t i = 0; i < spec.entries.size(); ++i) {
    const TokenKind kind = spec.kinds[i];
    const bool special = kind == TokenKind::control || kind == TokenKind::unknown;
    if (!special && kind != TokenKind::user_defined) continue;
    const std::string& text = spec.entries[i];
    if (text.size() > kMaxAddedTokenBytes) {
      fail(file, "tokens",
           fmt::format("added token {} has {} bytes, at most {} are taken", i, text.size(),
                       kMaxAddedTokenBytes));
    }
    AddedToken token{.id = static_cast<TokenId>(i), .content = text, .special = special};
    // GGUF does not hold the strip flags. Phi-3's tokenizer.json sets rstrip on all but three.
    token.rstrip = phi3 && text != "<unk>" && text != "<s>" && text != "<|endoftext|>";
    spec.added.push_back(std::move(token));
  }
}

void read_byte_level(const GgufFile& file, Spec& spec) {
  spec.alphabet = Alphabet::bytes;
  std::string pre(file.find_string(key("pre")).value_or(""));
  const std::string_view architecture = file.find_string("general.architecture").value_or("");
  // Files older than the key: GPT-NeoX models had one tokenizer only.
  if (pre.empty()) pre = architecture == "gptneox" ? "gpt-neox" : "default";
  spec.pre_name = pre;
  spec.pre = PreTokenizer::by_gguf_name(pre, file.name());
  const bool llama3 = pre == "llama-bpe" || pre == "llama3" || pre == "llama-v3";
  spec.ignore_merges = llama3;
  // The files of these models normalise; GGUF has no key for it.
  spec.nfc = pre == "qwen2" || pre == "gpt-neox" || pre == "olmo";
  spec.add_bos = file.find_bool(key("add_bos_token")).value_or(llama3);
  if (file.find_bool(key("add_space_prefix")).value_or(false)) {
    spec.space_prefix = SpacePrefix::every;
    spec.prefix_needs_no_space = true;
    spec.metaspace_after_cut = true;
  }
  read_merges(file, spec);
}

void read_sentencepiece(const GgufFile& file, Spec& spec) {
  spec.alphabet = Alphabet::metaspace;
  spec.pre_name = "none";
  spec.scores = file.f32_array(key("scores"));
  if (spec.scores.size() != spec.entries.size()) {
    fail(file, "scores",
         fmt::format("{} scores for {} tokens", spec.scores.size(), spec.entries.size()));
  }
  for (size_t i = 0; i < spec.scores.size(); ++i) {
    if (!std::isfinite(spec.scores[i])) {
      fail(file, "scores", fmt::format("token {} has the score {}", i, spec.scores[i]));
    }
  }
  if (file.find_bool(key("remove_extra_whitespaces")).value_or(false)) {
    fail(file, "remove_extra_whitespaces", "is true, only false is known");
  }
  spec.spaces_to_metaspace = true;
  spec.space_prefix = file.find_bool(key("add_space_prefix")).value_or(true) ? SpacePrefix::every
                                                                             : SpacePrefix::never;
  spec.add_bos = file.find_bool(key("add_bos_token")).value_or(true);
}

}  // namespace

Spec read_gguf_spec(const GgufFile& file) {
  Spec spec;
  spec.file = file.name();
  const std::string_view model = file.string(key("model"));
  read_entries(file, spec);
  if (model == "gpt2") {
    read_byte_level(file, spec);
  } else if (model == "llama") {
    read_sentencepiece(file, spec);
    spec.unknown = read_id(file, spec, "unknown_token_id");
  } else {
    fail(file, "model", fmt::format("is {}, known are gpt2, llama", printable(model)));
  }
  read_added(file, spec);
  spec.bos = read_id(file, spec, "bos_token_id");
  spec.eos = read_id(file, spec, "eos_token_id");
  if (spec.add_bos && !spec.bos)
    fail(file, "add_bos_token", "is true but there is no bos_token_id");
  for (const char* name : {"eot_token_id", "eom_token_id"}) {
    if (const auto id = read_id(file, spec, name)) spec.end_of_generation.push_back(*id);
  }
  spec.chat_template = file.find_string("tokenizer.chat_template").value_or("");
  collect_end_of_generation(spec);
  return spec;
}

}  // namespace engine::tokenizer
