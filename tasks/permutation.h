// Owns the permutation test of two groups. Pure functions.
#pragma once

#include <cstdint>
#include <span>

namespace tasks {

inline constexpr int kPermutations = 10000;
inline constexpr uint64_t kPermutationSeed = 1;

// Two-sided p-value that values and membership have nothing to do with each other: the share of
// random memberships of the same size whose means of members and others differ as much, the
// observed one counted in. 1 where either group is empty. Values are of independent items.
double membership_p(std::span<const double> values, std::span<const uint8_t> is_member,
                    int n_permutations = kPermutations, uint64_t seed = kPermutationSeed);

}  // namespace tasks
