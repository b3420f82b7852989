#include "tasks/permutation.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "tasks/random_draw.h"

namespace tasks {

double membership_p(std::span<const double> values, std::span<const uint8_t> is_member,
                    int n_permutations, uint64_t seed) {
  assert(values.size() == is_member.size() && n_permutations > 0);
  const size_t n = values.size();
  double total = 0, members = 0;
  size_t size = 0;
  for (size_t i = 0; i < n; ++i) {
    total += values[i];
    if (is_member[i] == 0) continue;
    members += values[i];
    ++size;
  }
  if (size == 0 || size == n) return 1;
  // Of a sum of `size` values, what the difference of the two means is.
  const auto difference = [&](double sum) {
    return std::abs(sum / static_cast<double>(size) -
                    (total - sum) / static_cast<double>(n - size));
  };
  // The smaller group is drawn: the other's sum follows.
  const bool draw_members = size <= n - size;
  const size_t drawn = draw_members ? size : n - size;
  const double observed = difference(members);
  const double tolerance = 1e-12 * (1 + observed);
  std::vector<double> order(values.begin(), values.end());
  std::mt19937_64 random(seed);
  int as_far = 1;
  for (int b = 0; b < n_permutations; ++b) {
    double sum = 0;
    for (size_t i = 0; i < drawn; ++i) {
      std::swap(order[i], order[i + draw(random, n - i)]);
      sum += order[i];
    }
    as_far += difference(draw_members ? sum : total - sum) >= observed - tolerance;
  }
  return static_cast<double>(as_far) / static_cast<double>(n_permutations + 1);
}

}  // namespace tasks
