#include "engine/rope_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace {

engine::RopeConfig llama3() {
  engine::RopeConfig r;  // the values of Llama 3.2
  r.theta = 500000.0f;
  r.d_rot = 64;
  r.scaling = engine::RopeScaling::llama3;
  r.factor = 32.0f;
  r.low_freq_factor = 1.0f;
  r.high_freq_factor = 4.0f;
  r.original_context = 8192;
  return r;
}

TEST(RopeFrequencies, ArePowersOfTheta) {
  engine::RopeConfig r;
  r.d_rot = 8;
  const auto f = engine::rope_frequencies(r);
  ASSERT_EQ(f.size(), 4u);
  EXPECT_DOUBLE_EQ(f[0], 1.0);
  EXPECT_NEAR(f[1], 0.1, 1e-15);
  EXPECT_NEAR(f[3], 0.001, 1e-15);
  r.scaling = engine::RopeScaling::linear;
  r.factor = 4.0f;
  EXPECT_NEAR(engine::rope_frequencies(r)[1], 0.025, 1e-15);
  r.scaling = engine::RopeScaling::none;
  r.frequency_factors = {1.0f, 2.0f, 4.0f, 8.0f};
  EXPECT_NEAR(engine::rope_frequencies(r)[3], 0.001 / 8, 1e-15);
}

TEST(RopeFrequencies, Llama3StretchesLongWavesAndKeepsShortOnes) {
  auto plain = llama3();
  plain.scaling = engine::RopeScaling::none;
  const auto f = engine::rope_frequencies(plain), s = engine::rope_frequencies(llama3());
  int kept = 0, stretched = 0, blended = 0;
  for (size_t i = 0; i < f.size(); ++i) {
    const double wave = 2 * std::numbers::pi / f[i];
    if (wave < 2048) {
      EXPECT_EQ(s[i], f[i]);
      ++kept;
    } else if (wave > 8192) {
      EXPECT_DOUBLE_EQ(s[i], f[i] / 32);
      ++stretched;
    } else {
      const double smooth = (8192 / wave - 1) / 3;
      EXPECT_NEAR(s[i], f[i] * (smooth + (1 - smooth) / 32), 1e-15);
      ++blended;
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(stretched, 0);
  EXPECT_GT(blended, 0);
}

TEST(RopeTable, GrowsWithoutChangingWhatIsThere) {
  engine::RopeTable grown(llama3()), whole(llama3());
  for (const int64_t n : {1, 3, 600, 700, 1500}) grown.ensure(n);
  whole.ensure(1500);
  for (int64_t i = 0; i < 1500 * 64; ++i) ASSERT_EQ(grown.cos_sin()[i], whole.cos_sin()[i]) << i;
  EXPECT_EQ(whole.cos_sin()[0], 1.0f);
  EXPECT_EQ(whole.cos_sin()[64], std::cos(1.0f));
}

}  // namespace
