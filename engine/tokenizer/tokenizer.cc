// Owns Tokenizer::load: which reader a path needs, and the tokens that end a generation.
#include "engine/tokenizer.h"

#include <algorithm>
#include <array>

#include "engine/model_file/gguf.h"
#include "engine/tokenizer/spec.h"

namespace engine {
namespace tokenizer {

void collect_end_of_generation(Spec& spec) {
  constexpr std::array<std::string_view, 8> kNames = {
      "<|im_end|>", "<|eot_id|>", "<|endoftext|>",   "<|end|>",
      "</s>",       "<|eom_id|>", "<|end_of_text|>", "<\uFF5Cend\u2581of\u2581sentence\uFF5C>"};
  auto& ids = spec.end_of_generation;
  if (spec.eos) ids.push_back(*spec.eos);
  for (const AddedToken& token : spec.added) {
    if (std::find(kNames.begin(), kNames.end(), token.content) != kNames.end()) {
      ids.push_back(token.id);
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

}  // namespace tokenizer

std::unique_ptr<Tokenizer> Tokenizer::load(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    if (const auto gguf = path / "tokenizer.gguf"; std::filesystem::exists(gguf, ignored)) {
      return tokenizer::make_tokenizer(tokenizer::read_gguf_spec(GgufFile::open(gguf)));
    }
    return tokenizer::make_tokenizer(tokenizer::read_json_spec(path));
  }
  return tokenizer::make_tokenizer(tokenizer::read_gguf_spec(GgufFile::open(path)));
}

}  // namespace engine
