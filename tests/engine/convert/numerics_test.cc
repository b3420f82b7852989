// The closed forms of the conversion on data with a known answer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "engine/convert/assignment.h"
#include "engine/convert/clustering.h"
#include "engine/convert/neurons.h"
#include "engine/convert/ridge.h"

namespace {

using namespace engine::convert;
using kernels::PackedMatrix;
using kernels::ThreadPool;

double total(const std::vector<double>& cost, const std::vector<int32_t>& of, int32_t clusters) {
  double sum = 0;
  for (size_t j = 0; j < of.size(); ++j) sum += cost[j * clusters + of[j]];
  return sum;
}

PackedMatrix pack(const std::vector<float>& v, int64_t n_out, int64_t n_in, ThreadPool& pool) {
  return PackedMatrix::pack(
      kernels::Dtype::f32, n_out, n_in,
      [&](int64_t row, void* dst) {
        std::copy_n(v.data() + row * n_in, n_in, static_cast<float*>(dst));
      },
      pool);
}

std::vector<float> normal(size_t n, uint64_t seed, float deviation = 1) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> draw(0, deviation);
  std::vector<float> v(n);
  for (float& f : v) f = draw(random);
  return v;
}

TEST(Assignment, IsTheCheapestOfAllBalancedOnes) {
  std::mt19937_64 random(7);
  for (int repeat = 0; repeat < 40; ++repeat) {
    constexpr int64_t kN = 9;
    constexpr int32_t kClusters = 3;
    std::vector<double> cost(kN * kClusters);
    for (double& c : cost) c = static_cast<double>(random() % 20) - 10;
    std::vector<int32_t> of = {0, 0, 0, 1, 1, 1, 2, 2, 2};
    double best = HUGE_VAL;
    do {
      best = std::min(best, total(cost, of, kClusters));
    } while (std::next_permutation(of.begin(), of.end()));
    const auto got = assign_balanced(cost, kN, kClusters);
    for (int32_t e = 0; e < kClusters; ++e) EXPECT_EQ(std::count(got.begin(), got.end(), e), 3);
    EXPECT_EQ(total(cost, got, kClusters), best);
  }
}

// Points of group g have features near axis g.
TEST(Clustering, FindsPlantedGroupsOfOneSize) {
  constexpr int64_t kN = 70, kDims = 12;
  constexpr int32_t kGroups = 7;
  std::vector<int32_t> group(kN);
  for (int64_t j = 0; j < kN; ++j) group[j] = static_cast<int32_t>(j % kGroups);
  std::vector<float> features = normal(kN * kDims, 3, 0.25f);
  for (int64_t j = 0; j < kN; ++j) features[j * kDims + group[j]] += 1;
  std::vector<float> gram(kN * kN);
  for (int64_t i = 0; i < kN; ++i) {
    for (int64_t j = 0; j < kN; ++j) {
      gram[i * kN + j] =
          std::inner_product(features.begin() + i * kDims, features.begin() + (i + 1) * kDims,
                             features.begin() + j * kDims, 0.0f);
    }
  }
  const Clusters c = cluster_balanced(gram, kN, kGroups, 5);
  EXPECT_EQ(c.of, group);  // numbered by first member, as planted
  EXPECT_GT(c.objective, 0);
  EXPECT_EQ(cluster_balanced(gram, kN, kGroups, 5).of, c.of);

  const auto reps = representatives(gram, kN, c.of, kGroups, 2);
  ASSERT_EQ(reps.size(), 14u);
  for (int32_t e = 0; e < kGroups; ++e) {
    std::vector<double> centroid(kDims);
    for (int64_t j = 0; j < kN; ++j) {
      for (int64_t k = 0; group[j] == e && k < kDims; ++k) centroid[k] += features[j * kDims + k];
    }
    const auto angle = [&](int64_t j) {
      double dot = 0, square = 0;
      for (int64_t k = 0; k < kDims; ++k) {
        dot += features[j * kDims + k] * centroid[k];
        square += features[j * kDims + k] * features[j * kDims + k];
      }
      return dot / std::sqrt(square);
    };
    EXPECT_EQ(group[reps[2 * e]], e);
    EXPECT_EQ(group[reps[2 * e + 1]], e);
    for (int64_t j = 0; j < kN; ++j) {
      if (group[j] != e || j == reps[2 * e]) continue;
      EXPECT_LE(angle(j), angle(reps[2 * e]) + 1e-6);
      EXPECT_TRUE(j == reps[2 * e + 1] || angle(j) <= angle(reps[2 * e + 1]) + 1e-6);
    }
  }
}

TEST(Clustering, TakesPointsThatAllCoincide) {
  const std::vector<float> gram(36, 1.0f);
  const Clusters c = cluster_balanced(gram, 6, 3, 1);
  for (int32_t e = 0; e < 3; ++e) EXPECT_EQ(std::count(c.of.begin(), c.of.end(), e), 2);
  EXPECT_NEAR(c.objective, 0, 1e-9);
}

TEST(Ridge, RecoversAPlantedLinearMap) {
  constexpr int64_t kRows = 3000, kFeatures = 21, kTargets = 5;
  const auto weights = normal(kTargets * kFeatures, 1);
  const auto noise = normal(kRows * kTargets, 2, 0.01f);
  auto phi = normal(kRows * kFeatures, 3);
  for (int64_t r = 0; r < kRows; ++r) {
    phi[r * kFeatures] = phi[r * kFeatures] * 40 + 100;  // another scale and mean
    phi[r * kFeatures + 1] = 3;                          // never varies
  }
  std::vector<float> targets(kRows * kTargets);
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t t = 0; t < kTargets; ++t) {
      double sum = 2 + static_cast<double>(t) + noise[r * kTargets + t];
      for (int64_t i = 0; i < kFeatures; ++i) {
        sum += static_cast<double>(weights[t * kFeatures + i]) * phi[r * kFeatures + i];
      }
      targets[r * kTargets + t] = static_cast<float>(sum);
    }
  }
  ThreadPool one(1), three(3);
  Ridge ridge(kFeatures, kTargets), again(kFeatures, kTargets);
  for (int64_t first = 0; first < kRows; first += 500) {
    ridge.add(phi.data() + first * kFeatures, targets.data() + first * kTargets, 500, one);
    again.add(phi.data() + first * kFeatures, targets.data() + first * kTargets, 500, three);
  }
  const Ridge::Fit fit = ridge.solve(1e-8);
  for (int64_t t = 0; t < kTargets; ++t) {
    for (int64_t i = 0; i < kFeatures; ++i) {
      const float want = i == 1 ? 0 : weights[t * kFeatures + i];
      EXPECT_NEAR(fit.weights[t * kFeatures + i], want, 2e-3) << t << " " << i;
    }
    const float constant = 3 * weights[t * kFeatures + 1];
    EXPECT_NEAR(fit.bias[t], 2 + static_cast<float>(t) + constant, 2e-2);
    EXPECT_GT(fit.explained[t], 0.9999);
    EXPECT_LE(fit.explained[t], 1);
  }
  EXPECT_EQ(again.solve(1e-8).weights, fit.weights);
  // A huge penalty leaves the mean.
  const Ridge::Fit flat = ridge.solve(1e9);
  for (const float w : flat.weights) EXPECT_NEAR(w, 0, 1e-4);
  EXPECT_NEAR(flat.explained[0], 0, 1e-4);
}

TEST(Ridge, SaysWhereThereIsNoFit) {
  ThreadPool pool(1);
  const auto refused = [&](const std::vector<float>& phi, const std::vector<float>& targets,
                           double lambda) -> std::string {
    Ridge ridge(2, 1);
    ridge.add(phi.data(), targets.data(), 4, pool);
    try {
      ridge.solve(lambda);
    } catch (const NoFit& e) {
      return e.what();
    }
    return "";
  };
  const std::vector<float> twins = {1, 1, -1, -1, 1, 1, -1, -1}, targets = {1, 2, 3, 4};
  EXPECT_EQ(refused(twins, targets, 1e-3), "");
  EXPECT_EQ(refused(twins, targets, 1e-30),
            "pivot 1 of the features' covariance is 0, want above 0");
  auto broken = twins;
  broken[2] = NAN;
  EXPECT_NE(refused(broken, targets, 1e-3), "");
  EXPECT_EQ(refused(twins, {1, 2, INFINITY, 4}, 1e-3), "the weights of target 0 are not finite");
}

TEST(Hidden, StopsBetweenChunks) {
  ThreadPool pool(1);
  const engine::Expert block{
      pack(normal(8 * 8, 1), 8, 8, pool), pack(normal(8 * 8, 2), 8, 8, pool), {}};
  const auto x = normal(3 * kChunkRows * 8, 3);
  std::atomic<bool> flag{false};
  int chunks = 0;
  const auto consume = [&](int64_t, int64_t, const float*) { flag = ++chunks == 2; };
  EXPECT_THROW(for_hidden(block, x.data(), 3 * kChunkRows, pool, consume, Stop(flag)), Stopped);
  EXPECT_EQ(chunks, 2);
}

TEST(Clustering, StopsWhenAsked) {
  const std::atomic<bool> flag{true};
  EXPECT_THROW(cluster_balanced(std::vector<float>(36, 1.0f), 6, 3, 1, Stop(flag)), Stopped);
}

// A block whose neuron j passes silu(x_j) * x_j on, scaled by what the test plants.
struct PlantedBlock {
  static constexpr int64_t kWidth = 8, kModel = 8;
  engine::Expert block;

  PlantedBlock(const std::vector<float>& input, const std::vector<float>& output,
               ThreadPool& pool) {
    std::vector<float> in(kWidth * kModel), out(kModel * kWidth);
    for (int64_t j = 0; j < kWidth; ++j) {
      in[j * kModel + j] = input[j];
      out[j * kWidth + j] = output[j];
    }
    block = {pack(in, kWidth, kModel, pool), pack(in, kWidth, kModel, pool),
             pack(out, kModel, kWidth, pool)};
  }
};

TEST(Importance, IsTheMeanSquareThatTheMeanDoesNotCover) {
  ThreadPool pool(2);
  // Neuron 2 is always on and never varies; 5 writes with a weight of 3; 7 writes nothing.
  const PlantedBlock planted({1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 100, 1, 1, 3, 1, 0}, pool);
  constexpr int64_t kRows = 1200;
  auto x = normal(kRows * 8, 11);
  for (int64_t r = 0; r < kRows; ++r) {
    x[r * 8 + 2] = 5;
    x[r * 8 + 4] *= 2;
  }
  const Moments m = moments_of(planted.block, x.data(), kRows, pool);
  const auto s = importance(m, write_norms(planted.block));
  for (int64_t j = 0; j < 8; ++j) {
    double sum = 0, square = 0;
    for (int64_t r = 0; r < kRows; ++r) {
      const double v = x[r * 8 + j], h = v / (1 + std::exp(-v)) * v;
      sum += h;
      square += h * h;
    }
    const double mean = sum / kRows, variance = square / kRows - mean * mean;
    const double w[] = {1, 1, 100, 1, 1, 3, 1, 0};
    EXPECT_NEAR(m.mean[j], mean, 1e-5 * std::abs(mean));
    EXPECT_NEAR(s[j], variance * w[j] * w[j], 1e-4 * (1 + variance * w[j] * w[j]));
  }
  const auto ranked = by_importance(s);
  EXPECT_EQ(ranked[0] == 4 ? ranked[1] : ranked[0], 5);
  EXPECT_TRUE((ranked[6] == 7 && ranked[7] == 2) || (ranked[6] == 2 && ranked[7] == 7));
  ThreadPool three(3);
  EXPECT_EQ(moments_of(planted.block, x.data(), kRows, three).variance, m.variance);
}

// On even rows neurons 0, 2, 5 are large, on odd rows 1, 3, 4; 6 and 7 never.
TEST(Coactivation, CountsWhoIsActiveTogether) {
  ThreadPool pool(2);
  const PlantedBlock planted({1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1}, pool);
  constexpr int64_t kRows = 700;
  auto x = normal(kRows * 8, 4, 0.05f);
  for (int64_t r = 0; r < kRows; ++r) {
    for (const int64_t j :
         r % 2 == 0 ? std::vector<int64_t>{0, 2, 5} : std::vector<int64_t>{1, 3, 4}) {
      x[r * 8 + j] += 3;
    }
  }
  const std::vector<int32_t> neurons = {0, 1, 2, 3, 4, 5, 6};
  const auto gram = coactivation_gram(planted.block, write_norms(planted.block), neurons, x.data(),
                                      kRows, 10000, 3, pool);
  const auto even = [](int64_t j) { return j == 0 || j == 2 || j == 5; };
  for (int64_t i = 0; i < 7; ++i) {
    for (int64_t j = 0; j < 7; ++j) {
      const bool silent = i == 6 || j == 6;
      EXPECT_NEAR(gram[i * 7 + j], !silent && even(i) == even(j) ? 1 : 0, 1e-6) << i << " " << j;
    }
  }
}

}  // namespace
