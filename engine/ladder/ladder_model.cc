#include "engine/ladder/ladder_model.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/ladder/ladder_weights.h"
#include "engine/tokenizer/byte_alphabet.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/unicode.h"
#include "kernels/half.h"

namespace engine::ladder {
namespace {

using nlohmann::json;

// Texts of the tokens by id: the 256 bytes, then words in the order in which they are first met.
// Every stretch that the pre-tokenizer cuts is one token.
class Vocabulary {
 public:
  explicit Vocabulary(const Words& words) {
    for (int byte = 0; byte < 256; ++byte) add(std::string(1, static_cast<char>(byte)));
    for (char letter = 'A'; letter <= 'D'; ++letter) add(std::string(" ") + letter);
    for (const std::string& text : words.plain_texts) add_all(text);
    for (const auto& by_site : words.keys)
      for (const std::string& key : by_site) add(" " + key);
    for (const std::string& filler : words.fillers) add(" " + filler);
    for (const auto& [clue, option] : words.pairs) {
      add(" " + clue);
      add(" " + option);
    }
    add(" " + words.gauge);
  }

  const TokenIds& ids() const { return ids_; }

  // Text in the byte-level alphabet to id.
  json to_json() const {
    json out = json::object();
    for (const auto& [text, id] : ids_) {
      std::string symbols;
      for (const char byte : text)
        tokenizer::append_utf8(symbols, tokenizer::byte_to_symbol(static_cast<uint8_t>(byte)));
      out[symbols] = id;
    }
    return out;
  }

 private:
  void add(const std::string& text) { ids_.emplace(text, static_cast<int64_t>(ids_.size())); }

  void add_all(const std::string& text) {
    tokenizer::PreTokenizer cutter;
    cutter.add_step(tokenizer::match_gpt2);
    const auto chars = tokenizer::decode_chars(text);
    for (const auto& [begin, end] : cutter.split(chars)) {
      const size_t from = chars[begin].begin;
      add(text.substr(from, (end < chars.size() ? chars[end].begin : text.size()) - from));
    }
  }

  TokenIds ids_;
};

std::string tokenizer_json(const Vocabulary& vocabulary) {
  const json byte_level{{"type", "ByteLevel"},
                        {"add_prefix_space", false},
                        {"trim_offsets", true},
                        {"use_regex", true}};
  return json{{"version", "1.0"},
              {"truncation", nullptr},
              {"padding", nullptr},
              {"added_tokens", json::array()},
              {"normalizer", nullptr},
              {"pre_tokenizer", byte_level},
              {"post_processor", nullptr},
              {"decoder", byte_level},
              {"model",
               {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"ignore_merges", true},
                {"vocab", vocabulary.to_json()},
                {"merges", json::array()}}}}
             .dump(1) +
         "\n";
}

std::string config_json(size_t n_tokens) {
  return json{{"architectures", {"MixtralForCausalLM"}},
              {"model_type", "mixtral"},
              {"hidden_act", "silu"},
              {"hidden_size", Shape::kModel},
              {"intermediate_size", Shape::kWidth},
              {"num_hidden_layers", Shape::kLayers},
              {"num_attention_heads", Shape::kHeads},
              {"num_key_value_heads", Shape::kHeads},
              {"head_dim", Shape::kHead},
              {"num_local_experts", kExperts},
              {"num_experts_per_tok", kExperts},
              {"vocab_size", n_tokens},
              {"max_position_embeddings", 2048},
              {"rms_norm_eps", Shape::kNormEps},
              {"rope_theta", Shape::kTheta},
              {"sliding_window", nullptr},
              {"tie_word_embeddings", false},
              {"torch_dtype", "float16"}}
             .dump(1) +
         "\n";
}

// https://huggingface.co/docs/safetensors: header length, JSON header, little-endian data.
std::string safetensors(const std::vector<Tensor>& tensors) {
  json header{{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const Tensor& t : tensors) {
    const size_t begin = data.size();
    for (const float value : t.values) {
      const uint16_t half = kernels::half_from_float(value);
      data += static_cast<char>(half & 255);
      data += static_cast<char>(half >> 8);
    }
    header[t.name] = {{"dtype", "F16"}, {"shape", t.shape}, {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string length;
  for (int i = 0; i < 8; ++i)
    length += static_cast<char>(static_cast<uint64_t>(text.size()) >> (8 * i) & 255);
  return length + text + data;
}

}  // namespace

std::vector<File> checkpoint_files(const Words& words) {
  const Vocabulary vocabulary(words);
  return {{"config.json", config_json(vocabulary.ids().size())},
          {"model.safetensors", safetensors(make_weights(words, vocabulary.ids()))},
          {"tokenizer.json", tokenizer_json(vocabulary)}};
}

}  // namespace engine::ladder
