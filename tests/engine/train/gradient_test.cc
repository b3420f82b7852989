// Gradients against finite differences, and REINFORCE's mean against the exact one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/train/mlp.h"
#include "engine/train/objective.h"
#include "engine/train/reinforce.h"
#include "tests/engine/train/planted_examples.h"

namespace {

using namespace engine::train;

std::vector<double> randoms(size_t n, Random& random, double scale = 1) {
  std::vector<double> v(n);
  for (double& x : v) x = scale * (2 * random.uniform() - 1);
  return v;
}

// f(v) and its gradient by central differences.
void expect_gradient(std::vector<double>& v, const std::function<double()>& f,
                     const std::vector<double>& gradient) {
  ASSERT_EQ(v.size(), gradient.size());
  double largest = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    constexpr double kStep = 1e-5;
    const double here = v[i];
    v[i] = here + kStep;
    const double up = f();
    v[i] = here - kStep;
    const double down = f();
    v[i] = here;
    const double slope = (up - down) / (2 * kStep);
    EXPECT_NEAR(gradient[i], slope, 1e-7 * std::max(1.0, std::fabs(slope))) << i;
    largest = std::max(largest, std::fabs(slope));
  }
  EXPECT_GT(largest, 1e-3) << "a flat function shows nothing";
}

TEST(Gradient, OfSuccessIsTheSlopeOfItsLoss) {
  Random random(1);
  const std::vector<double> y = {0, 0.25, 1, 0.75, 1};
  const std::vector<uint8_t> some = {1, 0, 1, 0, 0};
  for (const Head head : {Head::ordinal, Head::free})
    for (const auto& seen : {std::vector<uint8_t>{}, some}) {
      auto o = randoms(5, random, 3);
      std::vector<double> d(5), unused(5);
      success_loss(head, o, y, seen, d);
      expect_gradient(
          o, [&] { return success_loss(head, o, y, seen, unused); }, d);
    }
}

TEST(Gradient, OfThePolicyIsTheSlopeOfItsValue) {
  Random random(2);
  for (const double beta : {0.0, 0.3}) {
    auto z = randoms(6, random, 2);
    const auto r = randoms(6, random);
    std::vector<double> d(6), unused(6);
    policy_value(z, r, beta, d);
    expect_gradient(
        z, [&] { return policy_value(z, r, beta, unused); }, d);
  }
}

TEST(Gradient, OfANetworkIsTheSlopeByItsParameters) {
  for (const auto& hidden : {std::vector<int64_t>{}, {6}, {6, 5}}) {
    Random random(3);
    Mlp net(4, hidden, 3, random);
    for (double& p : net.parameters()) p = 2 * random.uniform() - 1;
    const auto x = randoms(7 * 4, random), weight = randoms(7 * 3, random);
    Mlp::Pass pass;
    // A curved function of the outputs.
    const auto value = [&] {
      net.forward(x, 7, &pass);
      double sum = 0;
      for (size_t i = 0; i < weight.size(); ++i) sum += weight[i] * std::sin(pass.output[i]);
      return sum;
    };
    value();
    std::vector<double> d(weight.size()), gradient(net.parameters().size());
    for (size_t i = 0; i < d.size(); ++i) d[i] = weight[i] * std::cos(pass.output[i]);
    net.backward(pass, d, gradient);
    expect_gradient(net.parameters(), value, gradient);
  }
}

TEST(Gradient, ReinforceIsTheExactOneInTheMeanWhateverTheBaseline) {
  constexpr int kDraws = 200000;
  Random random(4);
  const auto z = randoms(5, random, 1.5);
  auto r = randoms(5, random);
  for (double& x : r) x += 2;  // as accuracies are: of one sign
  const double beta = 0.05;
  std::vector<double> exact(5), one(5);
  policy_value(z, r, beta, exact);
  const auto pi = softmax(z);
  double value = 0;
  for (size_t k = 0; k < 5; ++k) value += pi[k] * r[k];
  std::vector<double> spread;
  for (const double baseline : {0.0, value, 8.0}) {
    std::vector<double> sum(5), squares(5);
    for (int t = 0; t < kDraws; ++t) {
      const size_t k = random.draw(pi);
      reinforce_gradient(z, k, r[k], baseline, beta, one);
      for (size_t i = 0; i < 5; ++i) {
        sum[i] += one[i];
        squares[i] += one[i] * one[i];
      }
    }
    double total = 0;
    for (size_t i = 0; i < 5; ++i) {
      const double mean = sum[i] / kDraws, variance = squares[i] / kDraws - mean * mean;
      EXPECT_NEAR(mean, exact[i], 4.5 * std::sqrt(variance / kDraws)) << i << " " << baseline;
      total += variance;
    }
    spread.push_back(total);
  }
  // The value as a baseline is there to make it less noisy.
  EXPECT_LT(spread[1], spread[0] / 4);
  EXPECT_LT(spread[1], spread[2] / 4);
}

TEST(Gradient, ReinforceIsTheExactOneThroughANetwork) {
  // Every draw weighted by its probability is the mean without noise.
  Random random(5);
  Mlp net(3, std::vector<int64_t>{4}, 4, random);
  const auto x = randoms(3, random);
  const auto r = randoms(4, random);
  Mlp::Pass pass;
  net.forward(x, 1, &pass);
  const auto pi = softmax(pass.output);
  std::vector<double> d(4), exact(net.parameters().size()), mean(exact.size());
  policy_value(pass.output, r, 0.1, d);
  net.backward(pass, d, exact);
  for (size_t k = 0; k < 4; ++k) {
    reinforce_gradient(pass.output, k, r[k], 0.7, 0.1, d);
    for (double& v : d) v *= pi[k];
    net.backward(pass, d, mean);
  }
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(mean[i], exact[i], 1e-14);
  EXPECT_GT(*std::max_element(exact.begin(), exact.end()), 1e-3);
}

// What online training follows, over the draws of a learner that takes no step.
TEST(Gradient, AReinforceLearnersIsTheExactOneInTheMean) {
  const auto ex = planted::examples(8, 3);
  const auto rows = planted::all_rows(ex);
  Options o;
  o.hidden = {3};
  o.lambda = 0.4;
  o.entropy = 0.05;
  ReinforceLearner learner(ex, rows, o);
  const PolicyModel& m = learner.policy();
  const auto z = standardised(ex, m.input, rows);
  Mlp::Pass pass;
  m.net.forward(z, ex.n, &pass);
  std::vector<double> d(pass.output.size()), exact(m.net.parameters().size());
  const auto n_k = static_cast<size_t>(ex.n_k());
  for (int64_t r = 0; r < ex.n; ++r) {
    std::vector<double> reward;
    for (int64_t k = 0; k < ex.n_k(); ++k) reward.push_back(ex.reward(r, k, o.lambda, 0));
    policy_value(std::span(pass.output).subspan(ex.at(r, 0), n_k), reward, o.entropy,
                 std::span(d).subspan(ex.at(r, 0), n_k));
  }
  for (double& x : d) x /= -static_cast<double>(ex.n);  // a loss
  m.net.backward(pass, d, exact);

  constexpr int kDraws = 20000;
  const auto cost = mean_cost(ex, rows);
  std::vector<double> sum(exact.size()), squares(exact.size());
  for (int t = 0; t < kDraws; ++t) {
    const auto draws = learner.draw(z);
    std::vector<ReinforceLearner::Seen> seen;
    for (int64_t r = 0; r < ex.n; ++r) {
      const auto k = static_cast<int64_t>(draws[static_cast<size_t>(r)].k);
      seen.push_back({ex.success[ex.at(r, k)], ex.reward(r, k, o.lambda, 0)});
    }
    learner.learn(seen, cost);
    for (size_t i = 0; i < sum.size(); ++i) {
      const double g = learner.policy_gradient()[i];
      sum[i] += g;
      squares[i] += g * g;
    }
  }
  double largest = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    const double mean = sum[i] / kDraws, variance = squares[i] / kDraws - mean * mean;
    EXPECT_NEAR(mean, exact[i], 4.5 * std::sqrt(variance / kDraws) + 1e-12) << i;
    largest = std::max(largest, std::fabs(exact[i]));
  }
  EXPECT_GT(largest, 0.01);
}

TEST(Success, TheOrdinalHeadNeverFalls) {
  Random random(6);
  for (int t = 0; t < 1000; ++t) {
    const auto p = success_probabilities(Head::ordinal, randoms(16, random, 6));
    EXPECT_TRUE(std::is_sorted(p.begin(), p.end()));
  }
}

TEST(RandomDraws, FollowTheirWeights) {
  Random random(7);
  const std::vector<double> weights = {0, 1, 3, 0};
  std::vector<int> n(4);
  for (int t = 0; t < 40000; ++t) ++n[random.draw(weights)];
  EXPECT_EQ(n[0] + n[3], 0);
  EXPECT_NEAR(n[2] / 40000.0, 0.75, 0.01);
}

}  // namespace
