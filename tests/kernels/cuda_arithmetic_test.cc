// The arithmetic of the CUDA module that has no CUDA in it, against planted truths and brute force.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <tuple>
#include <vector>

#include "kernels/cuda/expert_tiles.h"
#include "kernels/cuda/kv_address.h"
#include "kernels/cuda/path_table.h"
#include "kernels/cuda/selection.h"
#include "kernels/select_experts.h"
#include "kernels/thread_pool.h"

namespace {

using namespace moeval_cuda;

TEST(ExpertTiles, VisitEveryTileOfEveryExpertOnce) {
  std::mt19937 random(3);
  const auto below = [&](uint32_t n) { return static_cast<int32_t>(random() % n); };
  for (int round = 0; round < 400; ++round) {
    const int32_t n = 1 + below(40), n_tiles = 1 + below(9), rows = below(2) ? 64 : 128;
    std::vector<int32_t> counts(static_cast<size_t>(n)), starts{0};
    for (int32_t& c : counts) {
      c = below(3) == 0 ? 0 : below(below(2) ? 6000 : 200);
      starts.push_back(starts.back() + tiles_over(c, rows));
    }
    std::set<std::tuple<int32_t, int32_t, int32_t>> want, seen;
    for (int32_t e = 0; e < n; ++e) {
      for (int32_t first = 0; first < counts[static_cast<size_t>(e)]; first += rows) {
        for (int32_t i = 0; i < n_tiles; ++i) want.emplace(e, first / rows, i);
      }
    }
    const int32_t total = total_tiles(starts.data(), n, n_tiles);
    for (int32_t t = 0; t < total; ++t) {
      const ExpertTile tile = find_tile(starts.data(), n, n_tiles, t);
      seen.emplace(tile.expert, tile.m, tile.n);
    }
    ASSERT_EQ(total, static_cast<int32_t>(want.size()));
    ASSERT_EQ(seen, want);
  }
}

// What runs at one time shares operands: of a band, all its m-tiles go with one n-tile first.
TEST(ExpertTiles, GoThroughABandOfRowsColumnByColumn) {
  const int32_t starts[] = {0, 0, 20, 21};  // no rows, 20 and 1 m-tiles
  const auto at = [&](int32_t t) {
    const ExpertTile tile = find_tile(starts, 3, 3, t);
    return std::tuple(tile.expert, tile.m, tile.n);
  };
  EXPECT_EQ(at(0), std::tuple(1, 0, 0));
  EXPECT_EQ(at(15), std::tuple(1, 15, 0));
  EXPECT_EQ(at(16), std::tuple(1, 0, 1));
  EXPECT_EQ(at(47), std::tuple(1, 15, 2));
  EXPECT_EQ(at(48), std::tuple(1, 16, 0));
  EXPECT_EQ(at(52), std::tuple(1, 16, 1));
  EXPECT_EQ(at(59), std::tuple(1, 19, 2));
  EXPECT_EQ(at(60), std::tuple(2, 0, 0));
  EXPECT_EQ(at(62), std::tuple(2, 0, 2));
}

// Source: CUDA driver API, CU_TENSOR_MAP_SWIZZLE_128B: bits 4..6 of an address are XORed with bits
// 7..9.
TEST(ExpertTiles, AreSwizzledAsTmaDoes) {
  for (uint32_t row = 0; row < 128; ++row) {
    for (uint32_t byte = 0; byte < 128; ++byte) {
      const uint32_t plain = row * 128 + byte;
      ASSERT_EQ(moeval_cuda::swizzled(row, byte), plain ^ (plain >> 7 & 7) << 4);
    }
  }
}

// Source: PTX ISA, matrix descriptor: address 0..13, leading 16..29, stride 32..45, all by 16
// bytes; swizzle 62..63, 1 is 128 bytes.
TEST(ExpertTiles, AreDescribedToWgmmaByBitFields) {
  for (uint32_t address = 0; address < (227u << 10); address += 1024) {
    const uint64_t d = wgmma_descriptor(address);
    ASSERT_EQ(d & 0x3fff, address / 16);
    ASSERT_EQ(d >> 16 & 0x3fff, 1u);
    ASSERT_EQ(d >> 32 & 0x3fff, 1024u / 16);
    ASSERT_EQ(d >> 46 & 0xffff, 0u);
    ASSERT_EQ(d >> 62, 1u);
    for (uint32_t bytes = 0; bytes < 1024; bytes += 16) {
      ASSERT_EQ(descriptor_at(d, bytes), wgmma_descriptor(address + bytes));
    }
  }
}

TEST(KvAddress, GivesEveryElementOfABlockItsOwnPlace) {
  constexpr int64_t kLayers = 3, kHeads = 2, kSize = 8;
  std::set<int64_t> places;
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    for (int64_t head = 0; head < kHeads; ++head) {
      for (int64_t i = 0; i < 64 * kSize; ++i) {
        places.insert(key_offset(layer, head, kHeads, kSize) + i);
        places.insert(value_offset(layer, head, kHeads, kSize) + i);
      }
    }
  }
  const int64_t all = kLayers * kv_layer_elements(kHeads, kSize);
  EXPECT_EQ(all, 3 * 2 * 2 * 64 * 8);
  EXPECT_EQ(static_cast<int64_t>(places.size()), all);
  EXPECT_EQ(*places.begin(), 0);
  EXPECT_EQ(*places.rbegin(), all - 1);
  // As kernels/device_table.h has it: keys of all heads, then values; layer after layer.
  EXPECT_EQ(key_offset(1, 1, kHeads, kSize), 4 * 64 * 8 + 64 * 8);
  EXPECT_EQ(value_offset(0, 0, kHeads, kSize), 2 * 64 * 8);
}

TEST(KvAddress, SharesOutTheVisiblePositionsInOrderAndWhole) {
  for (int visible = 1; visible < 9000; visible += visible < 400 ? 1 : 37) {
    for (const int n : {1, 2, 3, 4, 7, 9, 33, 63, 64}) {
      const int active = active_splits(visible, n);
      ASSERT_GE(active, 1);
      ASSERT_LE(active, n);
      ASSERT_TRUE(active == 1 || visible > kUnsplitBlocks * kKvPositions) << visible << " " << n;
      int at = 0;
      for (int s = 0; s < n; ++s) {
        const KvSplit split = kv_split(visible, n, s);
        ASSERT_EQ(s < active, split.begin < split.end) << visible << " " << n << " " << s;
        if (s >= active) continue;
        ASSERT_EQ(split.begin, at);
        ASSERT_EQ(split.begin % kKvPositions, 0);
        at = split.end;
      }
      ASSERT_EQ(at, visible);
    }
  }
}

TEST(KvAddress, SplitsRowsOnlyWhileTheyDoNotFillTheGpu) {
  for (const int64_t target : {1, 132, 1056}) {
    for (int64_t units = 1; units < 3000; ++units) {
      const int64_t splits = grid_splits(units, target);
      ASSERT_GE(splits, 1);
      ASSERT_LE(splits, kMaxSplits);
      ASSERT_TRUE(splits == 1 || units * splits < 2 * target);
      ASSERT_TRUE(splits == kMaxSplits || units * splits >= target);
    }
  }
}

template <int kChunks>
void expect_no_bank_conflicts() {
  std::set<int> places;
  for (int row = 0; row < 64; ++row) {
    for (int c = 0; c < kChunks; ++c) {
      const int place = moeval_cuda::swizzled<kChunks>(row, c);
      places.insert(place);
      ASSERT_EQ(place / (kChunks * 16), row);
    }
  }
  EXPECT_EQ(places.size(), 64u * kChunks);
  for (int first = 0; first < 64; first += 8) {
    for (int c = 0; c < kChunks; ++c) {
      std::set<int> banks;  // groups of 4 banks
      for (int row = first; row < first + 8; ++row) {
        banks.insert(moeval_cuda::swizzled<kChunks>(row, c) % 128 / 16);
      }
      ASSERT_EQ(banks.size(), 8u);
    }
  }
}

TEST(KvAddress, PutsAColumnOfEightRowsIntoDifferentBanks) {
  expect_no_bank_conflicts<8>();
  expect_no_bank_conflicts<16>();
  expect_no_bank_conflicts<32>();
}

// Scores of few values, so that there are ties, or of any.
std::vector<float> scores_of(std::mt19937& random, size_t n) {
  std::vector<float> scores(n);
  const bool ties = random() % 2 == 0;
  for (float& s : scores) {
    s = ties ? static_cast<float>(random() % 4)
             : static_cast<float>(random() % 100000) / 12500.0f - 4;
  }
  return scores;
}

TEST(Selection, CountsAndWeighsAsTheCpuDoes) {
  std::mt19937 random(5);
  kernels::ThreadPool pool(1);
  for (int round = 0; round < 6000; ++round) {
    const size_t n = 1 + random() % 40;
    const auto most = static_cast<uint32_t>(std::min<size_t>(n, 16));
    const std::vector<float> scores = scores_of(random, n);
    kernels::RowSelection row;
    row.k = 1 + static_cast<int32_t>(random() % most);
    row.rule = static_cast<kernels::SelectRule>(random() % 4);
    row.value = static_cast<float>(random() % 1000) / 700.0f;
    row.slope = static_cast<float>(random() % 1000) / 60.0f - 2;
    const auto rule = static_cast<kernels::GateRule>(random() % 5);
    const int32_t trained_k = 1 + static_cast<int32_t>(random() % most);

    std::vector<int> order(n);
    for (size_t i = 0; i < n; ++i) order[i] = static_cast<int>(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return scores[a] > scores[b]; });
    std::vector<double> p(n);
    double sum = 0, entropy = 0;
    for (size_t i = 0; i < n; ++i) {  // in ascending id, as the CPU sums
      sum += std::exp(static_cast<double>(scores[i]) - static_cast<double>(scores[order[0]]));
    }
    for (size_t i = 0; i < n; ++i) {
      p[i] =
          std::exp(static_cast<double>(scores[order[i]]) - static_cast<double>(scores[order[0]])) /
          sum;
      entropy -= p[i] * std::log(p[i]);
    }
    if (n > 1) entropy /= std::log(static_cast<double>(n));

    const int chosen = count_chosen(static_cast<Rule>(row.rule), row.k, row.value, row.slope,
                                    p.data(), n > 1 ? entropy : 0);
    const double scale = gate_scale(static_cast<Gate>(rule), p.data(), chosen, trained_k);
    int16_t ids[16];
    float weights[16], margin;
    kernels::select_experts(scores.data(), 1, static_cast<int64_t>(n), &row, rule, trained_k, ids,
                            weights, &margin, pool);
    ASSERT_EQ(chosen, std::find(ids, ids + 16, -1) - ids) << round;
    for (int i = 0; i < chosen; ++i) {
      const auto at = std::find(ids, ids + chosen, order[i]) - ids;
      ASSERT_LT(at, chosen);
      const double want = rule == kernels::GateRule::unit ? 1 : p[i] * scale;
      ASSERT_NEAR(weights[at], want, 1e-7 * want) << round;
    }
  }
}

TEST(Selection, TakesOneExpertAtLeastAndNeverMoreThanTheBudget) {
  const double p[] = {0.5, 0.25, 0.125, 0.125};
  EXPECT_EQ(count_chosen(Rule::top_k, 3, 0, 0, p, 0), 3);
  EXPECT_EQ(count_chosen(Rule::top_p, 4, -1, 0, p, 0), 1);
  EXPECT_EQ(count_chosen(Rule::top_p, 4, 0.5, 0, p, 0), 2);  // the sum must exceed it
  EXPECT_EQ(count_chosen(Rule::top_p, 4, 0.49, 0, p, 0), 1);
  EXPECT_EQ(count_chosen(Rule::top_p, 3, 1, 0, p, 0), 3);
  EXPECT_EQ(count_chosen(Rule::threshold, 4, 0.25, 0, p, 0), 2);
  EXPECT_EQ(count_chosen(Rule::threshold, 4, 0.9, 0, p, 0), 1);
  EXPECT_EQ(count_chosen(Rule::threshold, 3, 0, 0, p, 0), 3);
  EXPECT_EQ(count_chosen(Rule::entropy, 4, 1, 3, p, 0.5), 3);  // 2.5: halves away from zero
  EXPECT_EQ(count_chosen(Rule::entropy, 4, -9, 1, p, 0.5), 1);
  EXPECT_EQ(count_chosen(Rule::entropy, 4, 1e30, 1, p, 0.5), 4);
  EXPECT_EQ(gate_scale(Gate::divided, p, 1, 4), 2);
  EXPECT_EQ(gate_scale(Gate::divided_by_trained, p, 1, 2), 1 / 0.75);
  EXPECT_EQ(gate_scale(Gate::scaled_to_trained, p, 1, 2), 1.5);
  EXPECT_EQ(gate_scale(Gate::softmax, p, 2, 2), 1);
}

int path_of(int32_t type, int64_t d, int64_t width, int64_t n, int64_t places, bool is_hopper) {
  return choose_path({type, d, width, n, places, is_hopper}).path;
}

TEST(PathTable, KnowsWhatEachPathCanDo) {
  for (const int32_t type : {kDeviceF32, kDeviceF16, kDeviceBf16}) {
    for (const int64_t d : {64, 68, 2048}) {
      for (const int64_t width : {8, 12, 1024}) {
        for (int64_t places = 1; places < 100000; places *= 2) {
          for (const bool is_hopper : {false, true}) {
            const PathChoice c = choose_path({type, d, width, 64, places, is_hopper});
            ASSERT_NE(c.path, kDevicePathAuto);
            ASSERT_TRUE(c.tile_rows == 64 || c.tile_rows == 128);
            ASSERT_TRUE(is_hopper || c.path != kDevicePathTensor);
            if (c.path != kDevicePathTensor && c.path != kDevicePathSkinny) continue;
            ASSERT_NE(type, kDeviceF32);
            ASSERT_EQ(d % 8 + width % 8, 0);  // 16-byte loads
          }
        }
      }
    }
  }
}

TEST(PathTable, GoesByTheMeanNumberOfRows) {
  constexpr int64_t kN = 64;
  EXPECT_EQ(path_of(kDeviceBf16, 2048, 1024, kN, kN * 32, true), kDevicePathSkinny);
  EXPECT_EQ(path_of(kDeviceBf16, 2048, 1024, kN, kN * 32 + 1, true), kDevicePathTensor);
  EXPECT_EQ(path_of(kDeviceBf16, 2048, 1024, kN, kN * 32 + 1, false), kDevicePathLooped);
  EXPECT_EQ(path_of(kDeviceF16, 2048, 1028, kN, 5, true), kDevicePathLooped);
  EXPECT_EQ(path_of(kDeviceF32, 2048, 1024, kN, kN * 32, true), kDevicePathPlain);
  EXPECT_EQ(path_of(kDeviceF32, 2048, 1024, kN, kN * 32 + 1, true), kDevicePathLooped);
  EXPECT_EQ(choose_path({kDeviceBf16, 2048, 1024, kN, kN * 96, true}).tile_rows, 64);
  EXPECT_EQ(choose_path({kDeviceBf16, 2048, 1024, kN, kN * 96 + 1, true}).tile_rows, 128);
}

}  // namespace
