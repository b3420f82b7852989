#include "engine/kv_cache.h"

#include <gtest/gtest.h>

namespace {

using engine::KvPool;
using engine::KvSequence;

constexpr kernels::AttentionShape kShape{4, 2, 8};

float* floats_of(const KvSequence& kv, size_t block) {
  return static_cast<float*>(kv.blocks()[block]);
}

TEST(KvSequence, ForksShareFullBlocksAndCopyThePartialOne) {
  const auto pool = KvPool::make(kShape, 3);
  KvSequence parent(pool);
  parent.grow(150);
  ASSERT_EQ(parent.blocks().size(), 3u);
  const int64_t floats = 3 * kShape.kv_block_floats();
  for (int64_t i = 0; i < floats; ++i) floats_of(parent, 2)[i] = static_cast<float>(i);

  const KvSequence child = parent.fork(140);  // 2 full blocks and 12 positions
  EXPECT_EQ(child.size(), 140);
  EXPECT_EQ(child.blocks()[0], parent.blocks()[0]);
  EXPECT_EQ(child.blocks()[1], parent.blocks()[1]);
  EXPECT_NE(child.blocks()[2], parent.blocks()[2]);
  EXPECT_EQ(pool->blocks_in_use(), 4);
  int64_t copied = 0;
  for (int64_t i = 0; i < floats; ++i) {
    const int64_t in_layer = i % kShape.kv_block_floats();
    const int64_t keys = kShape.kv_block_floats() / 2;
    const int64_t position =
        in_layer < keys ? in_layer % kernels::kKvBlock : in_layer / 8 % kernels::kKvBlock;
    EXPECT_EQ(floats_of(child, 2)[i], position < 12 ? static_cast<float>(i) : 0.0f) << i;
    copied += position < 12;
  }
  EXPECT_EQ(copied, 3 * 2 * 2 * 8 * 12);
  EXPECT_EQ(parent.fork(128).blocks().size(), 2u);
}

TEST(KvPool, ReusesBlocksAndHandsThemOutZeroed) {
  const auto pool = KvPool::make(kShape, 1);
  {
    KvSequence a(pool);
    a.grow(65);
    floats_of(a, 0)[5] = 1.0f / 0.0f;
    floats_of(a, 1)[5] = 2;
    EXPECT_EQ(pool->blocks_in_use(), 2);
  }
  EXPECT_EQ(pool->blocks_in_use(), 0);
  KvSequence b(pool);
  b.grow(128);
  EXPECT_EQ(floats_of(b, 0)[5], 0);
  EXPECT_EQ(floats_of(b, 1)[5], 0);
  EXPECT_EQ(pool->held_bytes(), 2 * pool->block_bytes());
}

}  // namespace
