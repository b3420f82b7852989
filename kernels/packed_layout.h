// Owns where the bits of a stored block lie in a panel. A panel is, for each block of k in turn,
// the blocks of kPanelRows rows interleaved in kPanelRows * block_bytes bytes:
//   f32, f16, bf16    value[64]
//   q8_0              d[64] f16, then for each of 32 k: q[64] int8
//   q4_0, q4_1        d[64] f16, (m[64] f16), then for each 8 k: u32[64], nibble i is k = i
//   q5_0, q5_1        as above with u32[64] before the nibbles, bit k is the fifth bit of k
//   q4_k              d[64] f16, dmin[64] f16, then for each of the 12 scale bytes u8[64], then as
//                     q4_0: u32[64] for each 8 k
//   q5_k              as q4_k, then for each 32 k u32[64], bit i is the fifth bit of k = i
//   q6_k              d[64] f16, for each of 16 scales int8[64], u32[64] for each 8 k with the low
//                     four bits, then u32[64] for each 16 k with the upper two
// Packing moves bits only, so it can be undone exactly.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/dtype.h"

namespace kernels {

inline constexpr int64_t kPanelRows = 64;  // output rows interleaved in one panel

// Offsets in bytes of the parts of one interleaved block of a type with 4 or 5 bits.
struct NibbleLayout {
  int64_t min = -1, high = -1, quants = 0;
};
constexpr NibbleLayout nibble_layout(bool has_min, bool has_high) {
  const int64_t scales = (has_min ? 2 : 1) * 2 * kPanelRows;
  return {has_min ? 2 * kPanelRows : -1, has_high ? scales : -1,
          scales + (has_high ? 4 * kPanelRows : 0)};
}

// As above, of a super-block of 256.
struct SuperLayout {
  int64_t scales = 0, low = 0, high = 0;
};
inline constexpr int64_t kSuperMin = 2 * kPanelRows;  // dmin of q4_k and q5_k
inline constexpr SuperLayout kQ45KLayout = {4 * kPanelRows, 16 * kPanelRows, 144 * kPanelRows};
inline constexpr SuperLayout kQ6KLayout = {2 * kPanelRows, 18 * kPanelRows, 146 * kPanelRows};

// Moves n_blocks stored blocks, that follow each other in one row, into lane `lane` of the
// interleaved blocks at `panel`, and back.
void pack_blocks(Dtype, const uint8_t* blocks, int64_t n_blocks, int64_t lane, std::byte* panel);
void unpack_blocks(Dtype, const std::byte* panel, int64_t n_blocks, int64_t lane, uint8_t* blocks);

}  // namespace kernels
