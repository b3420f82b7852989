// The layer against its plain form in double precision, and the independence of a row from its
// companions, threads and ranks.
#include "engine/moe_layer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/expert_ffn.h"
#include "tests/engine/moe_case.h"

namespace {

using namespace moe_case;

constexpr int64_t kModel = 37;

bool same_bits(const float* a, const float* b, int64_t n) {
  return std::memcmp(a, b, static_cast<size_t>(n) * sizeof(float)) == 0;
}

TEST(MoeLayer, AgreesWithTheReferenceForEveryModelNormAndMixOfBudgets) {
  const int64_t m = 60;
  for (const NamedModel& model : models()) {
    const Layer layer(model.moe, kModel, 5);
    const auto x = random_floats(m * kModel, 11);
    const auto budgets = mixed_budgets(model.moe, m);
    for (const auto norm :
         {GateNorm::model, GateNorm::raw, GateNorm::renormalised, GateNorm::trained_mass}) {
      if (model.moe.unit_weights && norm != GateNorm::model) continue;
      SCOPED_TRACE(model.name + ", norm " + engine::gate_norm_name(norm));
      const Ran ran = run(layer, norm, 1, x, budgets);
      int compared = 0;
      for (int64_t r = 0; r < m; ++r) {
        SCOPED_TRACE("row " + std::to_string(r) + " " + budgets[r].key());
        const Row want = layer.reference(x.data() + r * kModel, budgets[r], 1, norm);
        if (want.gap < 1e-4) continue;
        ++compared;
        std::vector<int> ids;
        for (int64_t j = 0; j < kMaxBudget && ran.ids[r * kMaxBudget + j] >= 0; ++j) {
          ids.push_back(ran.ids[r * kMaxBudget + j]);
        }
        ASSERT_EQ(ids, want.ids);
        ASSERT_EQ(std::isnan(ran.margins[r]), std::isnan(want.margin));
        if (!std::isnan(want.margin)) {
          EXPECT_NEAR(ran.margins[r], want.margin, 2e-5);
        }
        for (int64_t i = 0; i < kModel; ++i) {
          ASSERT_NEAR(ran.y[r * kModel + i], want.y[i], 2e-4) << "output " << i;
        }
      }
      EXPECT_GT(compared, m * 9 / 10);
    }
  }
}

TEST(MoeLayer, GivesARowTheSameBitsAloneAndInABatchOnAnyNumberOfThreads) {
  const int64_t m = 41;
  for (const NamedModel& model : models()) {
    SCOPED_TRACE(model.name);
    const Layer layer(model.moe, kModel, 3);
    const auto x = random_floats(m * kModel, 2);
    const auto budgets = mixed_budgets(model.moe, m);
    const Ran together = run(layer, GateNorm::model, 0, x, budgets, 1, 3);
    for (int64_t r = 0; r < m; ++r) {
      const std::vector<float> row(x.begin() + r * kModel, x.begin() + (r + 1) * kModel);
      const Ran alone = run(layer, GateNorm::model, 0, row, {budgets[r]}, 1, 1);
      EXPECT_TRUE(
          std::equal(alone.ids.begin(), alone.ids.end(), together.ids.begin() + r * kMaxBudget))
          << r;
      EXPECT_TRUE(same_bits(alone.margins.data(), together.margins.data() + r, 1)) << r;
      EXPECT_TRUE(same_bits(alone.y.data(), together.y.data() + r * kModel, kModel)) << r;
    }
  }
}

// What every row must cost, from shapes alone.
TEST(MoeLayer, LaunchesWhatItsRowsNeedAndNothingElse) {
  const int64_t m = 60;
  for (const NamedModel& model : models()) {
    const MoeConfig& moe = model.moe;
    const Layer layer(moe, kModel, 6);
    const auto budgets = mixed_budgets(moe, m);
    const Ran ran = run(layer, GateNorm::model, 1, random_floats(m * kModel, 7), budgets);
    uint64_t routing = 0, running = 0;
    for (int64_t r = 0; r < m; ++r) {
      if (moe.shared_gate) routing += 2 * moe.n_shared * kModel;
      if (budgets[r].k_of(1) > moe.n_shared) {
        const uint64_t n = moe.n_routed();
        if (moe.router == RouterKind::exact_norm) {
          routing += n * 6 * kModel * moe.d_expert;
        } else if (moe.router == RouterKind::gate_first) {
          routing += n * 2 * kModel * moe.d_expert;
        } else {
          routing += n * 2 * kModel;
          const uint64_t reps = n * moe.n_representatives;
          if (moe.router == RouterKind::representative) routing += reps * 4 * kModel + 2 * n * reps;
        }
      }
      for (int64_t j = 0; j < kMaxBudget && ran.ids[r * kMaxBudget + j] >= 0; ++j) {
        const bool shared = ran.ids[r * kMaxBudget + j] < moe.n_shared;
        running += 6 * kModel * (shared ? moe.d_shared : moe.d_expert);
      }
    }
    EXPECT_EQ(ran.routing.flops, routing) << model.name;
    EXPECT_EQ(ran.running.flops, running) << model.name;
  }
}

TEST(MoeLayer, KeepsANanInTheRowItCameFrom) {
  const int64_t m = 30;
  for (const NamedModel& model : models()) {
    const Layer layer(model.moe, kModel, 9);
    const auto good = random_floats(m * kModel, 3);
    const auto budgets = mixed_budgets(model.moe, m);
    const Ran want = run(layer, GateNorm::model, 1, good, budgets);
    for (const float broken : {NAN, INFINITY}) {
      auto x = good;
      for (const int64_t r : {4, 17}) x[r * kModel + 5] = broken;
      for (const int ranks : {1, 3}) {
        SCOPED_TRACE(model.name + ", ranks " + std::to_string(ranks));
        const Ran got = run(layer, GateNorm::model, 1, x, budgets, ranks);
        for (int64_t r = 0; r < m; ++r) {
          const float* row = got.y.data() + r * kModel;
          if (r != 4 && r != 17) {
            EXPECT_TRUE(same_bits(row, want.y.data() + r * kModel, kModel)) << r;
            EXPECT_TRUE(same_bits(&got.margins[r], &want.margins[r], 1)) << r;
            EXPECT_FALSE(got.faults[r]) << r;
          } else {
            const bool routed = budgets[r].k_of(1) > model.moe.n_shared;
            EXPECT_EQ(got.faults[r].layer, routed ? 1 : -1) << r;
            EXPECT_EQ(got.faults[r].input, routed) << r;
            EXPECT_TRUE(std::all_of(row, row + kModel, [](float v) { return std::isnan(v); })) << r;
          }
        }
      }
    }
  }
}

// Only the router's scores break: finite rows, an expert's output finite, an overflowing score.
TEST(MoeLayer, GivesNanWhereAScoreIsNotFinite) {
  const MoeConfig moe = config_of("olmoe");
  Layer layer(moe, kModel, 9);
  layer.weights.router.bias[13] = NAN;
  ExpertBudget budget;
  budget.k = 3;
  const Ran got = run(layer, GateNorm::model, 0, random_floats(2 * kModel, 3), {budget, budget});
  for (const float v : got.y) EXPECT_TRUE(std::isnan(v));
  for (const engine::RouterFault& fault : got.faults) {
    EXPECT_EQ(fault.layer, 0);
    EXPECT_FALSE(fault.input);
  }
  EXPECT_EQ(got.ids[2], 2);
  EXPECT_EQ(got.ids[3], -1);
}

// With all experts chosen nothing is compensated, and the order of the sum is that of the ids.
TEST(MoeLayer, WithAllExpertsIsTheirSumInOrder) {
  const MoeConfig nested = config_of("nested");
  const Layer layer(nested, kModel, 12);
  const int64_t m = 9;
  const auto x = random_floats(m * kModel, 2);
  ExpertBudget all;
  all.k = 16;
  const Ran got = run(layer, GateNorm::model, 0, x, std::vector<ExpertBudget>(m, all));
  kernels::ThreadPool pool(1);
  std::vector<float> sum, y(m * kModel);
  for (const engine::Expert& e : layer.weights.experts) {
    const kernels::ExpertGroup group{&e.gate, &e.up, &e.down, x.data(), y.data(), m};
    kernels::ExpertScratch scratch;
    kernels::expert_ffn({&group, 1}, scratch, pool);
    if (sum.empty()) {
      sum = y;
    } else {
      for (size_t i = 0; i < y.size(); ++i) sum[i] += y[i];
    }
  }
  EXPECT_TRUE(same_bits(got.y.data(), sum.data(), m * kModel));
}

TEST(MoeLayer, RefusesRanksAndNormsThatItCannotRun) {
  kernels::ThreadPool pool(1);
  const Layer nested(config_of("nested"), kModel, 1);
  EXPECT_THROW(engine::MoeLayer(nested.config, GateNorm::raw, 4, 1, pool), std::invalid_argument);
  EXPECT_THROW(engine::MoeLayer(nested.config, GateNorm::model, 4, 0, pool), std::invalid_argument);
  EXPECT_THROW(engine::MoeLayer(nested.config, GateNorm::model, 4, 65, pool),
               std::invalid_argument);
}

TEST(MoeLayer, GivesTheSameBitsOnAnyNumberOfRanks) {
  for (const NamedModel& model : models()) {
    const Layer layer(model.moe, kModel, 8);
    for (const int64_t m : {int64_t{1}, int64_t{5}, int64_t{50}}) {
      const auto x = random_floats(m * kModel, 4);
      const auto budgets = mixed_budgets(model.moe, m);
      const Ran one = run(layer, GateNorm::model, 1, x, budgets);
      for (const int ranks : {2, 3, 8}) {
        SCOPED_TRACE(model.name + ", rows " + std::to_string(m) + ", ranks " +
                     std::to_string(ranks));
        const Ran many = run(layer, GateNorm::model, 1, x, budgets, ranks);
        EXPECT_EQ(many.ids, one.ids);
        EXPECT_TRUE(same_bits(many.y.data(), one.y.data(), m * kModel));
        EXPECT_EQ(many.running.flops, one.running.flops);
        EXPECT_EQ(many.routing, one.routing);
      }
    }
  }
}

}  // namespace
