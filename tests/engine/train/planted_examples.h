// Owns planted examples: queries whose need is written into their features.
#pragma once

#include <vector>

#include "engine/train/examples.h"
#include "engine/train/random.h"

namespace planted {

using engine::train::Examples;
using engine::train::Random;

// Query r needs the k with index need[r] of the grid: right from there on (4: never). Feature
// columns: one per need, noise, and one that never varies. Two queries a cluster, of one need.
inline Examples examples(int64_t n, uint64_t seed, std::vector<int>* needs = nullptr) {
  Random random(seed);
  Examples ex;
  ex.grid = {1, 4, 8, 16};
  ex.n = n;
  ex.n_features = 8;
  int need = 0;
  for (int64_t r = 0; r < n; ++r) {
    if (r % 2 == 0) need = static_cast<int>(random.below(5));
    for (int j = 0; j < 5; ++j)
      ex.features.push_back(static_cast<float>((j == need) + 0.1 * random.uniform()));
    for (int j = 0; j < 2; ++j) ex.features.push_back(static_cast<float>(random.uniform()));
    ex.features.push_back(3.25f);
    const double full = 1e6 * (1 + random.uniform());
    ex.full_flops.push_back(full);
    for (int k = 0; k < 4; ++k) {
      ex.success.push_back(k >= need ? 1 : 0);
      ex.cost.push_back(0.25 + 0.25 * k);
    }
    ex.cluster.push_back(r / 2);
    if (needs != nullptr) needs->push_back(need);
  }
  return ex;
}

// The outcomes of another query for each: nothing is left to learn.
inline Examples shuffled(Examples ex, uint64_t seed) {
  Random random(seed);
  std::vector<int64_t> order;
  for (int64_t r = 0; r < ex.n; ++r) order.push_back(r);
  random.shuffle(std::span(order));
  const auto success = ex.success;
  for (int64_t r = 0; r < ex.n; ++r)
    for (int64_t k = 0; k < ex.n_k(); ++k)
      ex.success[ex.at(r, k)] = success[ex.at(order[static_cast<size_t>(r)], k)];
  return ex;
}

inline std::vector<int64_t> all_rows(const Examples& ex) {
  std::vector<int64_t> rows;
  for (int64_t r = 0; r < ex.n; ++r) rows.push_back(r);
  return rows;
}

}  // namespace planted
