// Owns the choice of the next token from logits.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "engine/request.h"

namespace engine {

// Uniform in [0, 1): a function of the seed and of the number of the draw alone, so a request's
// text depends on no other request. Source: splitmix64 (Steele, Lea, Flood 2014), as a counter.
double uniform_draw(uint64_t seed, uint64_t draw);

// Scratch that one thread reuses.
struct SamplerScratch {
  std::vector<std::pair<float, TokenId>> heap;
};

// logits [vocab], finite. temperature 0: the largest, the smallest id among ties. Otherwise from
// softmax(logits / temperature), cut to the fewest most probable tokens whose probabilities sum to
// top_p or more (Holtzman et al. 2020); ties by id. `draw` is the number of tokens generated so
// far.
TokenId sample(const float* logits, int64_t vocab, const Sampling&, uint64_t draw, SamplerScratch&);

}  // namespace engine
