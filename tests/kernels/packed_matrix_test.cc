#include "kernels/packed_matrix.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "tests/kernels/cases.h"

namespace {

using kernels::Dtype;

TEST(PackedLayout, CanBeUndoneBitByBit) {
  constexpr int64_t kBlocks = 3;
  for (Dtype type : cases::kDtypes) {
    SCOPED_TRACE(kernels::dtype_name(type));
    const auto bytes = static_cast<size_t>(kBlocks * kernels::block_bytes(type));
    std::vector<std::byte> panel(bytes * kernels::kPanelRows);
    std::vector<std::vector<uint8_t>> rows;
    std::mt19937 random(7);
    for (int64_t lane = 0; lane < kernels::kPanelRows; ++lane) {
      std::vector<uint8_t> row(bytes);
      for (uint8_t& b : row) b = static_cast<uint8_t>(random() & 255);
      kernels::pack_blocks(type, row.data(), kBlocks, lane, panel.data());
      rows.push_back(row);
    }
    for (int64_t lane = 0; lane < kernels::kPanelRows; ++lane) {
      std::vector<uint8_t> back(bytes);
      kernels::unpack_blocks(type, panel.data(), kBlocks, lane, back.data());
      ASSERT_EQ(back, rows[static_cast<size_t>(lane)]) << lane;
    }
  }
}

TEST(PackedMatrix, GivesBackEveryRowBitwise) {
  kernels::ThreadPool pool(2);
  for (Dtype type : cases::kDtypes) {
    SCOPED_TRACE(kernels::dtype_name(type));
    const int64_t n_in = 512, n_out = 67;
    const cases::Weights w = cases::weights(type, n_out, n_in, 11, pool);
    std::vector<float> rows(w.values.size());
    for (int64_t r = 0; r < n_out; ++r) w.packed.row(r, rows.data() + r * n_in);
    EXPECT_TRUE(cases::same_bits(rows, w.values));
  }
}

TEST(PackedMatrix, HoldsTheStoredBytesAndThePaddingOfOnePanelOnly) {
  kernels::ThreadPool pool(1);
  for (Dtype type : cases::kDtypes) {
    const cases::Weights w = cases::weights(type, 130, 256, 1, pool);
    EXPECT_EQ(w.packed.bytes(), static_cast<uint64_t>(192 * kernels::row_bytes(type, 256)));
    EXPECT_EQ(w.packed.n_panels(), 3);
  }
}

TEST(PackedMatrix, IsEmptyUntilPacked) {
  const kernels::PackedMatrix none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.bytes(), 0u);
}

}  // namespace
