#include "kernels/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/kernels/cases.h"

namespace {

using kernels::Dtype;

TEST(Dtype, HasTheStoredGeometryOfItsFormat) {
  const std::map<Dtype, std::pair<int64_t, int64_t>> expected = {
      {Dtype::f32, {1, 4}},      {Dtype::f16, {1, 2}},      {Dtype::bf16, {1, 2}},
      {Dtype::q8_0, {32, 34}},   {Dtype::q4_0, {32, 18}},   {Dtype::q4_1, {32, 20}},
      {Dtype::q5_0, {32, 22}},   {Dtype::q5_1, {32, 24}},   {Dtype::q4_k, {256, 144}},
      {Dtype::q5_k, {256, 176}}, {Dtype::q6_k, {256, 210}},
  };
  ASSERT_EQ(expected.size(), std::size(cases::kDtypes));
  for (const auto& [type, geometry] : expected) {
    SCOPED_TRACE(kernels::dtype_name(type));
    EXPECT_EQ(kernels::block_elements(type), geometry.first);
    EXPECT_EQ(kernels::block_bytes(type), geometry.second);
    EXPECT_EQ(kernels::row_bytes(type, 3 * geometry.first), 3 * geometry.second);
  }
}

// d = 0.5, m = -1: low nibbles are elements 0..15, high ones 16..31.
TEST(DequantiseRow, ReadsAQ4_1BlockWrittenByHand) {
  std::vector<uint8_t> block = {0x00, 0x38, 0x00, 0xbc};
  for (int i = 0; i < 16; ++i) block.push_back(static_cast<uint8_t>(i | (15 - i) << 4));
  float y[32];
  kernels::dequantise_row(Dtype::q4_1, block.data(), y, 32);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(y[i], 0.5f * static_cast<float>(i) - 1.0f);
    EXPECT_EQ(y[16 + i], 0.5f * static_cast<float>(15 - i) - 1.0f);
  }
}

// d = 2, every nibble 3, the fifth bit set for elements 1 and 20 alone.
TEST(DequantiseRow, ReadsTheFifthBitsOfAQ5_0BlockWrittenByHand) {
  std::vector<uint8_t> block = {0x00, 0x40, 0x02, 0x00, 0x10, 0x00};
  block.resize(22, 0x33);
  float y[32];
  kernels::dequantise_row(Dtype::q5_0, block.data(), y, 32);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(y[i], i == 1 || i == 20 ? 6.0f : -26.0f) << i;
}

// d = 1, dmin = 1; group 0 has scale 2 and min 1, group 5 has scale 33 and min 18 (high bits in
// use).
TEST(DequantiseRow, ReadsTheSixBitScalesOfAQ4KBlockWrittenByHand) {
  std::vector<uint8_t> block(144, 0);
  block[1] = block[3] = 0x3c;
  uint8_t* scales = block.data() + 4;
  scales[0] = 2;
  scales[4] = 1;
  scales[9] = (33 & 15) | (18 & 15) << 4;
  scales[1] = (33 >> 4) << 6;
  scales[5] = (18 >> 4) << 6;
  block[16] = 0x07;           // element 0 of group 0
  block[16 + 2 * 32] = 0x50;  // element 0 of group 5, the high nibbles of the third 32 bytes
  float y[256];
  kernels::dequantise_row(Dtype::q4_k, block.data(), y, 256);
  EXPECT_EQ(y[0], 2 * 7 - 1);
  EXPECT_EQ(y[1], -1);
  EXPECT_EQ(y[5 * 32], 33 * 5 - 18);
  EXPECT_EQ(y[5 * 32 + 1], -18);
  EXPECT_EQ(y[7 * 32], 0);
}

TEST(DequantiseRow, WidensSubnormalAndLargestHalves) {
  const std::vector<uint8_t> halves = {0x01, 0x00, 0xff, 0x83, 0xff, 0x7b, 0x00, 0x80, 0x00, 0x7c};
  float y[5];
  kernels::dequantise_row(Dtype::f16, halves.data(), y, 5);
  EXPECT_EQ(y[0], 0x1p-24f);
  EXPECT_EQ(y[1], -1023 * 0x1p-24f);
  EXPECT_EQ(y[2], 65504.0f);
  EXPECT_TRUE(y[3] == 0 && std::signbit(y[3]));
  EXPECT_TRUE(std::isinf(y[4]));
}

std::vector<uint8_t> from_hex(const std::string& text) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

TEST(DequantiseRow, AgreesBitwiseWithTheGgufPackage) {
  std::ifstream file(std::string(MOEVAL_SOURCE_DIR) + "/tests/kernels/golden/dequantise.txt");
  ASSERT_TRUE(file);
  std::map<std::string, int> seen;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream words(line);
    std::string name, stored, floats;
    words >> name >> stored >> floats;
    for (Dtype type : cases::kDtypes) {
      if (kernels::dtype_name(type) != name) continue;
      ++seen[name];
      const std::vector<uint8_t> bytes = from_hex(stored), expected_bytes = from_hex(floats);
      std::vector<float> expected(expected_bytes.size() / 4), got(expected.size());
      std::memcpy(expected.data(), expected_bytes.data(), expected_bytes.size());
      const auto n = static_cast<int64_t>(got.size());
      ASSERT_EQ(static_cast<int64_t>(bytes.size()), kernels::row_bytes(type, n));
      kernels::dequantise_row(type, bytes.data(), got.data(), n);
      for (size_t i = 0; i < got.size(); ++i) {
        // == lets the zeros differ in sign, which numpy's order of operations decides.
        ASSERT_EQ(got[i], expected[i]) << name << " case " << seen[name] << " element " << i;
      }
    }
  }
  for (Dtype type : cases::kDtypes) EXPECT_EQ(seen[std::string(kernels::dtype_name(type))], 8);
}

}  // namespace
