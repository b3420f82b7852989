// Membership that means nothing is not found, membership that means something is.
#include "tasks/permutation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace tasks {
namespace {

TEST(Permutation, ComesToTheExactPValue) {
  // scipy.stats.permutation_test of |difference of means|, all 35 partitions, SciPy 1.17.1.
  const std::vector<double> v = {0.1, 0.5, 0.3, 0.9, 1.2, 0.7, 0.05};
  const std::vector<uint8_t> member = {0, 0, 0, 1, 1, 1, 0};
  EXPECT_NEAR(membership_p(v, member), 0.02857142857142857, 0.006);
  std::vector<uint8_t> others;
  for (const auto m : member) others.push_back(!m);
  EXPECT_NEAR(membership_p(v, others), 0.02857142857142857, 0.006);
  EXPECT_EQ(membership_p(v, member), membership_p(v, member));
}

TEST(Permutation, NothingToCompareIsOne) {
  const std::vector<double> v = {1, 2, 3};
  EXPECT_EQ(membership_p(v, std::vector<uint8_t>{0, 0, 0}), 1);
  EXPECT_EQ(membership_p(v, std::vector<uint8_t>{1, 1, 1}), 1);
  EXPECT_EQ(membership_p(std::vector<double>{2, 2, 2}, std::vector<uint8_t>{1, 0, 0}), 1);
}

TEST(Permutation, KeepsItsLevelAndFindsWhatIsPlanted) {
  std::mt19937_64 random(3);
  int rejected = 0;
  const int trials = 200;
  for (int t = 0; t < trials; ++t) {
    std::vector<double> v;
    std::vector<uint8_t> member;
    for (int i = 0; i < 60; ++i) {
      v.push_back(static_cast<double>(random() % 1000));
      member.push_back(i < 15);
    }
    rejected += membership_p(v, member, 400, 7) < 0.05;
    if (t > 0) continue;
    for (int i = 0; i < 15; ++i) v[static_cast<size_t>(i)] += 800;
    EXPECT_LT(membership_p(v, member), 1e-3);
  }
  // Binomial of 200 at 5%: 10, standard deviation 3.1.
  EXPECT_LT(rejected, 20);
  EXPECT_GT(rejected, 2);
}

}  // namespace
}  // namespace tasks
