// Owns the ladder model: a mixture-of-experts checkpoint whose weights are constructed so that a
// question of planted difficulty d is answered right exactly when at least d experts run.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace engine::ladder {

inline constexpr int kExperts = 16;
// Classes of key words: 0..15 need 1..16 experts; kNever is right at no k; kInverse is right until
// expert Words::inverse_expert runs.
inline constexpr int kNever = 16, kInverse = 17, kClasses = 18;
// Where the decisive expert of a key word acts. Only at kPrefix does the answer depend on the k
// that computed the beginning of the prompt, and only at kKey on the one that computed the key
// word; attention carries both to the answer.
inline constexpr int kPrefix = 0;  // layer 0, at the gauge word of the header
inline constexpr int kKey = 1;     // layer 0, at the key word
inline constexpr int kMiddle = 2;  // layer 1, at the answer
inline constexpr int kLast = 3;    // layer 2, at the answer
inline constexpr int kSites = 4, kFillers = 6, kPairs = 16;

// The words of the model and what they mean to it; words with a role stand after a space. A prompt:
// a text with the gauge word; questions, each with one key word and one clue, their four options
// "A. word" to "D. word" on lines of their own, and "Answer:". The right option is the partner of
// the clue. A key word stands at most 600 tokens before the answer.
struct Words {
  std::array<std::array<std::string, kSites>, kClasses> keys;
  std::array<std::string, kFillers> fillers;  // visible in the embedding, without effect
  std::array<std::pair<std::string, std::string>, kPairs> pairs;  // clue, its option
  std::string gauge;
  std::vector<std::string> plain_texts;  // their words become tokens without a role
  int inverse_expert = 9;                // 2..16
};

struct File {
  std::string name, bytes;
};

// config.json, model.safetensors (f16) and tokenizer.json of a Hugging Face folder of model type
// mixtral. The same words give the same bytes.
std::vector<File> checkpoint_files(const Words&);

}  // namespace engine::ladder
