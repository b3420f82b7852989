// Owns BpeTokenizer.
#include "engine/tokenizer/bpe_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <stdexcept>

#include "engine/model_file/printable.h"
#include "engine/model_file_error.h"
#include "engine/tokenizer/byte_alphabet.h"
#include "engine/tokenizer/unicode.h"

namespace engine::tokenizer {
namespace {

constexpr std::string_view kMetaspace = "\u2581";
// Sum over the entries of their squared length in bytes: what indexing scores may cost.
constexpr uint64_t kMaxScoreWork = uint64_t{1} << 30;

std::string replace_all(std::string_view text, std::string_view what, std::string_view by) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t hit = std::min(text.find(what, at), text.size());
    out.append(text, at, hit - at);
    if (hit == text.size()) break;
    out += by;
    at = hit + what.size();
  }
  return out;
}

// The byte of "<0xXX>", or -1.
int byte_of_entry(std::string_view entry) {
  if (entry.size() != 6 || !entry.starts_with("<0x") || entry[5] != '>') return -1;
  int value = 0;
  for (char c : entry.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

}  // namespace

BpeTokenizer::BpeTokenizer(Spec spec) : spec_(std::move(spec)) {
  assert(spec_.kinds.size() == spec_.entries.size());
  index_entries();
  if (spec_.scores.empty()) {
    index_merges();
  } else {
    index_scores();
  }
  for (const AddedToken& token : spec_.added) {
    if (token.normalized) {
      after_normalizing_.add(token,
                             normalize(token.content, spec_.space_prefix != SpacePrefix::never));
    } else {
      before_normalizing_.add(token, token.content);
    }
  }
  if (!spec_.chat_template.empty()) template_ = ChatTemplate::recognise(spec_.chat_template);
}

void BpeTokenizer::index_entries() {
  byte_id_.fill(-1);
  bytes_.reserve(spec_.entries.size());
  id_of_.reserve(spec_.entries.size());
  const bool by_bytes = spec_.alphabet == Alphabet::bytes;
  for (size_t id = 0; id < spec_.entries.size(); ++id) {
    const std::string& entry = spec_.entries[id];
    const TokenKind kind = spec_.kinds[id];
    const bool mergeable =
        !entry.empty() && (kind == TokenKind::normal || kind == TokenKind::unused);
    if (!by_bytes && kind == TokenKind::byte) {
      const int byte = byte_of_entry(entry);
      if (byte < 0) {
        throw ModelFileError(fmt::format("{}: token {} is a byte but its text is {}, not <0xXX>",
                                         spec_.file, id, printable(entry)));
      }
      byte_id_[byte] = static_cast<TokenId>(id);
      bytes_.emplace_back(1, static_cast<char>(byte));
    } else if (by_bytes && mergeable) {
      const auto bytes = symbols_to_bytes(entry);
      bytes_.push_back(bytes.value_or(entry));
      if (bytes && bytes->size() == 1) {
        byte_id_[static_cast<unsigned char>((*bytes)[0])] = static_cast<TokenId>(id);
      }
      if (bytes) id_of_.emplace(bytes_.back(), static_cast<TokenId>(id));
    } else if (mergeable) {
      bytes_.push_back(replace_all(entry, kMetaspace, " "));
      id_of_.emplace(entry, static_cast<TokenId>(id));
    } else {
      bytes_.push_back(entry);
    }
  }
}

void BpeTokenizer::index_merges() {
  merger_.reserve(spec_.merges.size());
  for (size_t rank = 0; rank < spec_.merges.size(); ++rank) {
    const MergeRule& m = spec_.merges[rank];
    if (!merger_.add(m.left, m.right, static_cast<int32_t>(rank), m.merged)) {
      throw ModelFileError(fmt::format("{}: merge {} of {} and {} is there twice", spec_.file, rank,
                                       printable(spec_.entries[m.left]),
                                       printable(spec_.entries[m.right])));
    }
  }
  spec_.merges = {};
}

// Merging by score as SentencePiece does: every way to put an entry together from two others (or
// from a character that is no entry itself) is a merge, ranked by the entry's score.
void BpeTokenizer::index_scores() {
  std::vector<float> order;
  uint64_t work = 0;
  for (const auto& [entry, id] : id_of_) {
    order.push_back(spec_.scores[id]);
    work += entry.size() * entry.size();
  }
  if (work > kMaxScoreWork) {
    throw ModelFileError(
        fmt::format("{}: tokens are too long: the sum of squared lengths is {}, "
                    "at most {} is taken",
                    spec_.file, work, kMaxScoreWork));
  }
  std::sort(order.begin(), order.end(), std::greater<>());
  order.erase(std::unique(order.begin(), order.end()), order.end());
  const auto symbol = [&](std::string_view part) -> TokenId {
    if (const auto it = id_of_.find(part); it != id_of_.end()) return it->second;
    if (decode_utf8(part, 0).size != part.size()) return -1;
    const TokenId fresh = static_cast<TokenId>(spec_.entries.size() + virtual_text_.size());
    const auto [it, added] = virtual_chars_.emplace(std::string(part), fresh);
    if (added) virtual_text_.emplace_back(part);
    return it->second;
  };
  for (size_t id = 0; id < spec_.entries.size(); ++id) {
    const std::string_view entry = spec_.entries[id];
    const auto own = id_of_.find(entry);
    if (own == id_of_.end() || own->second != static_cast<TokenId>(id)) continue;
    const auto rank =
        std::lower_bound(order.begin(), order.end(), spec_.scores[id], std::greater<>()) -
        order.begin();
    for (size_t at = decode_utf8(entry, 0).size; at < entry.size();
         at += decode_utf8(entry, at).size) {
      const TokenId left = symbol(entry.substr(0, at)), right = symbol(entry.substr(at));
      if (left >= 0 && right >= 0) {
        merger_.add(left, right, static_cast<int32_t>(rank), static_cast<TokenId>(id));
      }
    }
  }
}

// What the file's normaliser, or its metaspace pre-tokenizer, does to a stretch of text.
std::string BpeTokenizer::normalize(std::string_view text, bool prefix) const {
  std::string out = spec_.nfc ? to_nfc(text) : std::string(text);
  if (spec_.metaspace_after_cut) return out;
  return add_spaces(std::move(out), prefix);
}

std::string BpeTokenizer::add_spaces(std::string text, bool prefix) const {
  if (text.empty()) return text;
  const bool meta = spec_.spaces_to_metaspace;
  if (meta) text = replace_all(text, " ", kMetaspace);
  const std::string_view space = meta ? kMetaspace : " ";
  if (prefix && !(spec_.prefix_needs_no_space && text.starts_with(space))) {
    text.insert(0, space);
  }
  return text;
}

std::vector<TokenId> BpeTokenizer::encode(std::string_view text, bool add_bos,
                                          bool parse_special) const {
  std::vector<TokenId> out;
  if (add_bos && spec_.add_bos && spec_.bos) out.push_back(*spec_.bos);
  bool first = true;
  const auto takes_prefix = [&] {
    return spec_.space_prefix == SpacePrefix::every ||
           (spec_.space_prefix == SpacePrefix::first && first);
  };
  for (const auto& part : before_normalizing_.cut(text, parse_special)) {
    if (part.token != nullptr) {
      out.push_back(part.token->id);
    } else {
      const std::string normal = normalize(part.text, takes_prefix());
      for (const auto& inner : after_normalizing_.cut(normal, parse_special)) {
        if (inner.token != nullptr) {
          out.push_back(inner.token->id);
        } else if (spec_.metaspace_after_cut) {
          encode_words(add_spaces(std::string(inner.text), takes_prefix()), out);
        } else {
          encode_words(inner.text, out);
        }
        first = false;
      }
    }
    first = false;
  }
  return out;
}

void BpeTokenizer::encode_words(std::string_view text, std::vector<TokenId>& out) const {
  assert(text.size() < (size_t{1} << 31));
  std::vector<TokenId> symbols;
  if (spec_.pre.empty()) return encode_word(text, symbols, out);
  const std::vector<Char> chars = decode_chars(text);
  for (const auto& [begin, end] : spec_.pre.split(chars)) {
    const size_t from = chars[begin].begin;
    const size_t to = end < chars.size() ? chars[end].begin : text.size();
    encode_word(text.substr(from, to - from), symbols, out);
  }
}

void BpeTokenizer::append_unknown(std::vector<TokenId>& symbols) const {
  if (!spec_.unknown) return;
  if (spec_.fuse_unknown && !symbols.empty() && symbols.back() == *spec_.unknown) return;
  symbols.push_back(*spec_.unknown);
}

// A character that is no entry: its bytes when the vocabulary has them all, else unknown.
void BpeTokenizer::append_bytes(std::string_view c, std::vector<TokenId>& symbols) const {
  const auto id = [&](char byte) { return byte_id_[static_cast<unsigned char>(byte)]; };
  if (std::any_of(c.begin(), c.end(), [&](char byte) { return id(byte) < 0; })) {
    append_unknown(symbols);
  } else {
    for (char byte : c) symbols.push_back(id(byte));
  }
}

void BpeTokenizer::encode_word(std::string_view word, std::vector<TokenId>& symbols,
                               std::vector<TokenId>& out) const {
  if (word.empty()) return;
  if (spec_.ignore_merges) {
    if (const auto it = id_of_.find(word); it != id_of_.end()) return out.push_back(it->second);
  }
  symbols.clear();
  if (spec_.alphabet == Alphabet::bytes) {
    for (size_t i = 0; i < word.size(); ++i) append_bytes(word.substr(i, 1), symbols);
  } else {
    for (size_t at = 0; at < word.size();) {
      const std::string_view c = word.substr(at, decode_utf8(word, at).size);
      at += c.size();
      if (const auto it = id_of_.find(c); it != id_of_.end()) {
        symbols.push_back(it->second);
      } else if (const auto v = virtual_chars_.find(std::string(c)); v != virtual_chars_.end()) {
        symbols.push_back(v->second);
      } else {
        append_bytes(c, symbols);
      }
    }
  }
  merger_.merge(symbols);
  if (virtual_text_.empty()) {
    out.insert(out.end(), symbols.begin(), symbols.end());
    return;
  }
  for (TokenId id : symbols) {
    if (known(id)) {
      out.push_back(id);
    } else {
      append_bytes(virtual_text_[static_cast<size_t>(id - vocab_size())], out);
    }
  }
}

std::string BpeTokenizer::token_bytes(TokenId id) const {
  return known(id) ? bytes_[static_cast<size_t>(id)] : std::string();
}

std::string BpeTokenizer::decode(std::span<const TokenId> ids, bool special) const {
  std::string out;
  size_t text_begin = std::string::npos;  // where the first ordinary text stands
  for (TokenId id : ids) {
    if (!known(id)) continue;
    const TokenKind kind = spec_.kinds[static_cast<size_t>(id)];
    const bool control = kind == TokenKind::control || kind == TokenKind::unknown;
    if (control && !special) continue;
    if (!control && text_begin == std::string::npos) text_begin = out.size();
    out += bytes_[static_cast<size_t>(id)];
  }
  // encode() put this space in front; a continuation, which has no BOS, keeps all its spaces.
  const bool from_start = !ids.empty() && spec_.bos && ids.front() == *spec_.bos;
  if (from_start && spec_.space_prefix != SpacePrefix::never && text_begin < out.size() &&
      out[text_begin] == ' ') {
    out.erase(text_begin, 1);
  }
  return out;
}

std::string_view BpeTokenizer::chat_template() const {
  return template_ ? template_->name() : std::string_view();
}

std::string BpeTokenizer::render_chat(std::span<const ChatTurn> turns, bool open_assistant) const {
  if (!template_) {
    throw std::invalid_argument(fmt::format(
        "{}: {}", spec_.file,
        spec_.chat_template.empty() ? "the model has no chat template"
                                    : "its chat template is not one of the known ones"));
  }
  return template_->render(turns, open_assistant, spec_.bos ? token_bytes(*spec_.bos) : "",
                           spec_.eos ? token_bytes(*spec_.eos) : "");
}

std::string BpeTokenizer::description() const {
  return fmt::format("{} pre={} tokens={} merges={} nfc={} ignore_merges={}",
                     spec_.alphabet == Alphabet::bytes ? "byte-level-bpe" : "sentencepiece-bpe",
                     spec_.pre_name, vocab_size(), merger_.size(), spec_.nfc ? 1 : 0,
                     spec_.ignore_merges ? 1 : 0);
}

std::unique_ptr<Tokenizer> make_tokenizer(Spec spec) {
  return std::make_unique<BpeTokenizer>(std::move(spec));
}

}  // namespace engine::tokenizer
