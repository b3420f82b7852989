// The layer against its plain form in double precision, and the independence of a row from its
// companions, threads and ranks.
#include "engine/moe_layer.h"

#include <gtest/gtest.h>

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
