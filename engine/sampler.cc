#include "engine/sampler.h"

#include <algorithm>
#include <cmath>

#include "kernels/elementwise.h"

namespace engine {
namespace {

uint64_t split_mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// The most probable first; among equals the smaller id.
bool less_probable(const std::pair<float, TokenId>& a, const std::pair<float, TokenId>& b) {
  return a.first != b.first ? a.first < b.first : a.second > b.second;
}

}  // namespace

double uniform_draw(uint64_t seed, uint64_t draw) {
  constexpr uint64_t kGolden = 0x9e3779b97f4a7c15ull;
  // The seed is mixed first: seeds that differ by the increment must not give shifted streams.
  const uint64_t z = split_mix(split_mix(seed + kGolden) + (draw + 1) * kGolden);
  return static_cast<double>(z >> 11) * 0x1.0p-53;
}

TokenId sample(const float* logits, int64_t vocab, const Sampling& sampling, uint64_t draw,
               SamplerScratch& scratch) {
  const auto best = static_cast<TokenId>(kernels::argmax(logits, vocab));
  if (!(sampling.temperature > 0.0f)) return best;

  const double largest = logits[best];
  const auto weight = [&](float logit) {
    return std::exp((static_cast<double>(logit) - largest) / sampling.temperature);
  };
  double total = 0;
  for (int64_t i = 0; i < vocab; ++i) total += weight(logits[i]);
  const double u = uniform_draw(sampling.seed, draw);

  if (sampling.top_p >= 1.0f) {
    double sum = 0;
    TokenId last = best;
    for (int64_t i = 0; i < vocab; ++i) {
      const double w = weight(logits[i]);
      if (w == 0.0) continue;
      sum += w;
      last = static_cast<TokenId>(i);
      if (sum > u * total) break;
    }
    return last;
  }

  auto& heap = scratch.heap;
  heap.resize(vocab);
  for (int64_t i = 0; i < vocab; ++i) heap[i] = {logits[i], static_cast<TokenId>(i)};
  std::make_heap(heap.begin(), heap.end(), less_probable);
  // Tokens of the nucleus end up behind `end`, most probable last.
  auto end = heap.end();
  double nucleus = 0;
  do {
    std::pop_heap(heap.begin(), end, less_probable);
    --end;
    nucleus += weight(end->first);
  } while (end != heap.begin() && nucleus < sampling.top_p * total);
  double sum = 0;
  for (auto it = heap.end(); it != end;) {
    --it;
    sum += weight(it->first);
    if (sum > u * nucleus) return it->second;
  }
  return end->second;
}

}  // namespace engine
