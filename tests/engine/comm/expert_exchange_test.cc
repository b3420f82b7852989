// Dispatch and combine as properties: identity, conservation, and independence of ranks, placement
// and companions.
#include "engine/comm/expert_exchange.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <set>

#include "tests/engine/comm/ranks.h"

namespace {

using engine::ExpertRows;
using engine::kMaxBudget;
using engine::Placement;

constexpr int64_t kWidth = 11;
constexpr int32_t kShared = 2, kRouted = 14;

struct Batch {
  int64_t m = 0;
  std::vector<float> x, weights;
  std::vector<int16_t> ids;
};

enum class Skew { none, one_expert, few };

// Rows of k = 0..16 experts, or all on one.
Batch batch(int64_t m, Skew skew, uint32_t seed) {
  std::mt19937 random(seed);
  Batch b;
  b.m = m;
  for (int64_t i = 0; i < m * kWidth; ++i) {
    b.x.push_back(static_cast<float>(random() % 20001) / 1e4f - 1.0f);
  }
  for (int64_t r = 0; r < m; ++r) {
    std::set<int16_t> chosen;
    const auto k = random() % 17;
    if (skew == Skew::one_expert) chosen.insert(9);
    while (skew != Skew::one_expert && chosen.size() < k) {
      const auto range = skew == Skew::few && k <= 4 ? 4 : kShared + kRouted;
      chosen.insert(static_cast<int16_t>(random() % range));
    }
    std::vector<int16_t> ids(chosen.begin(), chosen.end());
    ids.resize(kMaxBudget, -1);
    b.ids.insert(b.ids.end(), ids.begin(), ids.end());
    for (int64_t j = 0; j < kMaxBudget; ++j) {
      b.weights.push_back(static_cast<float>(random() % 1000) / 500.0f);
    }
  }
  return b;
}

// An expert that can be told from others and from a change of row: y = x * (e + 2) + row sum.
void scale_by_expert(const ExpertRows& e) {
  for (int64_t r = 0; r < e.rows; ++r) {
    float sum = 0;
    for (int64_t i = 0; i < kWidth; ++i) sum += e.x[r * kWidth + i];
    for (int64_t i = 0; i < kWidth; ++i) {
      e.y[r * kWidth + i] = e.x[r * kWidth + i] * static_cast<float>(e.expert + 2) + sum;
    }
  }
}
void identity(const ExpertRows& e) { std::copy_n(e.x, e.rows * kWidth, e.y); }

struct Result {
  std::vector<float> y;
  std::vector<std::vector<int64_t>> sent, received;  // [rank, peer]
  // (expert, bits of the row) of everything that experts saw.
  std::multimap<int32_t, std::vector<float>> seen;
};

// first_row_of[r]: where rank r's rows begin; the last entry is m.
Result exchange(const Batch& b, const Placement& placement,
                const std::vector<int64_t>& first_row_of, void (*expert)(const ExpertRows&)) {
  const int n = placement.ranks();
  ranks::Group group(n);
  Result result;
  result.y.assign(b.x.size(), 77.0f);
  result.sent.resize(n);
  result.received.resize(n);
  std::mutex mutex;
  group.run_all([&](int r) {
    kernels::ThreadPool pool(1);
    engine::ExpertExchange e(kShared, kWidth, placement, group.rank(r), pool);
    const int64_t first = first_row_of[r], m = first_row_of[r + 1] - first;
    for (int round = 0; round < 2; ++round) {  // the second one in used buffers
      const auto& listed =
          e.dispatch(b.x.data() + first * kWidth, m, first, b.ids.data() + first * kMaxBudget);
      for (const ExpertRows& rows : listed) {
        expert(rows);
        std::lock_guard lock(mutex);
        for (int64_t i = 0; round == 0 && i < rows.rows; ++i) {
          result.seen.emplace(rows.expert,
                              std::vector<float>(rows.x + i * kWidth, rows.x + (i + 1) * kWidth));
        }
      }
      e.combine(b.weights.data() + first * kMaxBudget, m, result.y.data() + first * kWidth);
    }
    result.sent[r] = e.sent_rows();
    result.received[r] = e.received_rows();
  });
  return result;
}

std::vector<int64_t> even(int64_t m, int n) {
  std::vector<int64_t> first;
  for (int64_t r = 0; r <= n; ++r) first.push_back(m * r / n);
  return first;
}
// All rows on one rank.
std::vector<int64_t> only(int64_t m, int n, int owner) {
  std::vector<int64_t> first;
  for (int r = 0; r <= n; ++r) first.push_back(r <= owner ? 0 : m);
  return first;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

class ExpertExchange : public testing::TestWithParam<int> {};

// Property 1. With weights of 1/k, k a power of 2, and values of 11 bits, sums of k equal rows are
// exact.
TEST_P(ExpertExchange, WithIdentityExpertsIsTheIdentity) {
  const int n = GetParam();
  for (const int64_t m : {0, 1, 3, 60}) {
    for (const Skew skew : {Skew::none, Skew::one_expert, Skew::few}) {
      Batch b = batch(m, skew, 5);
      for (float& v : b.x) v = std::round(v * 1024) / 1024;
      std::vector<float> expected = b.x;
      for (int64_t r = 0; r < m; ++r) {
        int16_t* ids = b.ids.data() + r * kMaxBudget;
        int64_t k = std::find(ids, ids + kMaxBudget, -1) - ids;
        while ((k & (k - 1)) != 0) ids[--k] = -1;
        std::fill_n(b.weights.data() + r * kMaxBudget, k, 1.0f / static_cast<float>(k));
        if (k == 0) std::fill_n(expected.data() + r * kWidth, kWidth, 0.0f);
      }
      for (const auto& split : {even(m, n), only(m, n, n - 1)}) {
        const Result got = exchange(b, Placement::blocks(kRouted, n), split, identity);
        EXPECT_TRUE(same_bits(got.y, expected)) << "m " << m << " skew " << static_cast<int>(skew);
      }
    }
  }
}

// Property 2.
TEST_P(ExpertExchange, ReceivesWhatWasSentAndEveryPairOnce) {
  const int n = GetParam();
  for (const int64_t m : {0, 1, 60}) {
    const Batch b = batch(m, Skew::none, 8);
    std::multimap<int32_t, std::vector<float>> pairs;
    int64_t routed = 0;
    for (int64_t r = 0; r < m; ++r) {
      for (int64_t j = 0; j < kMaxBudget && b.ids[r * kMaxBudget + j] >= 0; ++j) {
        const int16_t id = b.ids[r * kMaxBudget + j];
        routed += id >= kShared;
        pairs.emplace(id,
                      std::vector<float>(b.x.begin() + r * kWidth, b.x.begin() + (r + 1) * kWidth));
      }
    }
    const Result got = exchange(b, Placement::blocks(kRouted, n), even(m, n), identity);
    int64_t sent = 0;
    for (int p = 0; p < n; ++p) {
      for (int q = 0; q < n; ++q) {
        EXPECT_EQ(got.sent[p][q], got.received[q][p]);
        sent += got.sent[p][q];
      }
    }
    EXPECT_EQ(sent, routed);
    const auto sorted = [](const std::multimap<int32_t, std::vector<float>>& rows) {
      std::vector<std::pair<int32_t, std::vector<float>>> v(rows.begin(), rows.end());
      std::sort(v.begin(), v.end());
      return v;
    };
    EXPECT_EQ(sorted(got.seen), sorted(pairs));
  }
}

// Properties 3 and 5: the same bits on any number of ranks, however rows are split among them.
TEST_P(ExpertExchange, GivesTheBitsOfOneRankForAnySplit) {
  const int n = GetParam();
  for (const int64_t m : {1, 7, 60}) {
    for (const Skew skew : {Skew::none, Skew::one_expert, Skew::few}) {
      const Batch b = batch(m, skew, 21);
      const Result one = exchange(b, Placement::blocks(kRouted, 1), {0, m}, scale_by_expert);
      std::vector<std::vector<int64_t>> splits = {even(m, n), only(m, n, 0), only(m, n, n - 1)};
      for (const auto& split : splits) {
        const Result got = exchange(b, Placement::blocks(kRouted, n), split, scale_by_expert);
        EXPECT_TRUE(same_bits(got.y, one.y)) << "m " << m << " skew " << static_cast<int>(skew);
      }
    }
  }
}

// Property 4: any order of experts, replicas, ranks without an expert.
TEST_P(ExpertExchange, GivesTheSameBitsForAnyPlacement) {
  const int n = GetParam();
  const Batch b = batch(60, Skew::none, 33);
  const Result one = exchange(b, Placement::blocks(kRouted, 1), {0, 60}, scale_by_expert);
  std::mt19937 random(n);
  for (int round = 0; round < 6; ++round) {
    // Every expert somewhere, and each on a rank more with probability 1/2 each.
    std::vector<std::vector<int32_t>> held(n);
    std::vector<int32_t> order(kRouted);
    for (int32_t e = 0; e < kRouted; ++e) order[e] = e;
    std::shuffle(order.begin(), order.end(), random);
    for (int32_t e : order) {
      const auto home = static_cast<int>(random() % n);
      for (int r = 0; r < n; ++r) {
        if (r == home || (round % 2 == 1 && random() % 2 == 0)) held[r].push_back(e);
      }
    }
    size_t slots = 0;
    for (const auto& h : held) slots = std::max(slots, h.size());
    std::vector<int32_t> expert_of_slot;
    for (auto& h : held) {
      h.resize(slots, -1);
      expert_of_slot.insert(expert_of_slot.end(), h.begin(), h.end());
    }
    const Placement placement(kRouted, n, expert_of_slot);
    EXPECT_TRUE(same_bits(exchange(b, placement, even(60, n), scale_by_expert).y, one.y)) << round;
  }
}

// Property 5: permuting rows permutes results; half a batch gives half of them.
TEST_P(ExpertExchange, GivesARowTheSameBitsInAnyCompany) {
  const int n = GetParam();
  const int64_t m = 40;
  const Batch b = batch(m, Skew::none, 4);
  const Placement placement = Placement::blocks(kRouted, n);
  const Result all = exchange(b, placement, even(m, n), scale_by_expert);
  std::vector<int64_t> order(m);
  for (int64_t r = 0; r < m; ++r) order[r] = r;
  std::mt19937 random(3);
  std::shuffle(order.begin(), order.end(), random);
  for (const int64_t count : {m, m / 2}) {
    Batch some;
    some.m = count;
    std::vector<float> expected;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = order[i];
      const auto take = [r](auto& to, const auto& from, int64_t width) {
        to.insert(to.end(), from.begin() + r * width, from.begin() + (r + 1) * width);
      };
      take(some.x, b.x, kWidth);
      take(some.ids, b.ids, kMaxBudget);
      take(some.weights, b.weights, kMaxBudget);
      take(expected, all.y, kWidth);
    }
    EXPECT_TRUE(same_bits(exchange(some, placement, even(count, n), scale_by_expert).y, expected));
  }
}

TEST(Replicas, ShareTheRowsOfOneExpert) {
  const Batch b = batch(60, Skew::one_expert, 2);
  std::vector<int32_t> all;
  for (int32_t slot = 0; slot < 3 * kRouted; ++slot) all.push_back(slot % kRouted);
  const Result got = exchange(b, Placement(kRouted, 3, all), even(60, 3), identity);
  for (const auto& sent : got.sent) {
    for (const int64_t rows : sent) EXPECT_TRUE(rows == 6 || rows == 7) << rows;
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, ExpertExchange, testing::Values(1, 2, 3, 8));

TEST(Placement, SpreadsExpertsInContiguousBlocks) {
  const Placement p = Placement::blocks(7, 3);
  EXPECT_EQ(p.slots_per_rank(), 3);
  std::vector<int32_t> experts;
  for (int32_t s = 0; s < p.n_slots(); ++s) experts.push_back(p.expert_of(s));
  EXPECT_EQ(experts, (std::vector<int32_t>{0, 1, -1, 2, 3, -1, 4, 5, 6}));
  for (int32_t e = 0; e < 7; ++e) EXPECT_EQ(p.expert_of(p.slot_of(e, 5)), e);
  EXPECT_EQ(Placement::blocks(0, 3).n_slots(), 0);
  EXPECT_EQ(Placement::blocks(2, 8).slots_per_rank(), 1);
}

TEST(Placement, SpreadsRowsOverReplicas) {
  const Placement p(2, 2, {0, 1, 0, -1});
  EXPECT_EQ(p.slot_of(0, 0), 0);
  EXPECT_EQ(p.slot_of(0, 1), 2);
  EXPECT_EQ(p.slot_of(0, 2), 0);
  EXPECT_EQ(p.slot_of(1, 3), 1);
}

TEST(Placement, RefusesExpertsWithoutASlotUnknownOnesAndDoubles) {
  EXPECT_THROW(Placement(3, 2, {0, 1, 0, -1}), std::invalid_argument);
  EXPECT_THROW(Placement(2, 2, {0, 1, 2, -1}), std::invalid_argument);
  EXPECT_THROW(Placement(2, 2, {0, 0, 1, -1}), std::invalid_argument);
  EXPECT_THROW(Placement(2, 2, {0, 1, 0}), std::invalid_argument);
}

}  // namespace
