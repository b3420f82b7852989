// Owns PreTokenizer: steps in order, and the names that GGUF files use for them.
#include "engine/tokenizer/pre_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/model_file/printable.h"
#include "engine/model_file_error.h"
#include "engine/tokenizer/known_patterns.h"

namespace engine::tokenizer {
namespace {

struct NamedSteps {
  std::string_view name;
  std::vector<std::string_view> regexes;
};

const std::vector<NamedSteps>& named_steps() {
  static const std::vector<NamedSteps> table = {
      {"default", {"[\\p{P}\\$\\+<=>\\^~\\|]+", kGpt2Regex, "\\p{N}+", "[0-9][0-9][0-9]"}},
      {"gpt-2", {kGpt2Regex}},
      {"olmo", {kGpt2Regex}},
      {"gpt-neox", {kGpt2Regex}},
      {"smollm", {"\\p{N}", kGpt2Regex}},
      {"starcoder", {"\\p{N}", kGpt2Regex}},
      {"llama-bpe", {kLlama3Regex}},
      {"llama3", {kLlama3Regex}},
      {"llama-v3", {kLlama3Regex}},
      {"qwen2", {kQwen2Regex}},
      {"deepseek-r1-qwen", {kQwen2Regex}},
      {"deepseek-llm",
       {"[\r\n]", kDeepseekLettersRegex, kDeepseekMarksRegex, "\\s+$", kDeepseekIdeographsRegex,
        "\\p{N}"}},
      {"deepseek-coder",
       {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", kDeepseekIdeographsRegex, "\\p{N}"}},
  };
  return table;
}

}  // namespace

PreTokenizer PreTokenizer::by_gguf_name(std::string_view name, const std::string& file) {
  const auto& table = named_steps();
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const auto& n) { return n.name == name; });
  if (found == table.end()) {
    std::string known;
    for (const auto& n : table) known += fmt::format("{}{}", known.empty() ? "" : ", ", n.name);
    throw ModelFileError(
        fmt::format("{}: tokenizer.ggml.pre is {}, known are {}", file, printable(name), known));
  }
  PreTokenizer result;
  for (std::string_view regex : found->regexes) result.add_step(find_pattern(regex)->match);
  return result;
}

PreTokenizer::Pieces PreTokenizer::split(std::span<const Char> chars) const {
  Pieces pieces;
  if (chars.empty()) return pieces;
  pieces.emplace_back(0, chars.size());
  Pieces next;
  for (const Matcher match : steps_) {
    next.clear();
    for (const auto& [begin, end] : pieces) {
      const auto piece = chars.subspan(begin, end - begin);
      size_t unmatched = 0;
      for (size_t at = 0; at < piece.size();) {
        const size_t stop = match(piece, at);
        if (stop == at) {
          ++at;
          continue;
        }
        if (unmatched < at) next.emplace_back(begin + unmatched, begin + at);
        next.emplace_back(begin + at, begin + stop);
        at = unmatched = stop;
      }
      if (unmatched < piece.size()) next.emplace_back(begin + unmatched, end);
    }
    pieces.swap(next);
  }
  return pieces;
}

}  // namespace engine::tokenizer
