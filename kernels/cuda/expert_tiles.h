// Owns the index arithmetic of products over experts: which expert, rows and columns a tile has,
// where a value stands in a swizzled tile, and how wgmma is told of one. Plain C++, for the CPU
// too.
#pragma once

#include <cstdint>

#include "kernels/cuda/host_device.h"

namespace moeval_cuda {

// m-tiles of one expert that go with every n-tile before the next ones begin. About the square root
// of the number of CTAs, so that those running at one time share both operands through L2.
constexpr int32_t kTileBand = 16;

// k of a shared-memory tile: 64 16-bit values, the 128 bytes of one swizzled row.
constexpr int32_t kTileK = 64;
constexpr int32_t kSwizzleBytes = 128;

struct ExpertTile {
  int32_t expert, m, n;  // expert of the call; tile within its rows and columns
};

MOEVAL_HD constexpr int32_t tiles_over(int32_t size, int32_t tile) {
  return (size + tile - 1) / tile;
}

// starts [n + 1]: m-tiles of the experts before each one; the last is the number of all m-tiles.
MOEVAL_HD constexpr int32_t total_tiles(const int32_t* starts, int32_t n, int32_t n_tiles) {
  return starts[n] * n_tiles;
}

// tile: 0..total_tiles - 1. Experts without rows are never found.
MOEVAL_HD constexpr ExpertTile find_tile(const int32_t* starts, int32_t n, int32_t n_tiles,
                                         int32_t tile) {
  const int32_t m_tile = tile / n_tiles;
  int32_t low = 0, high = n;  // starts[low] <= m_tile < starts[high]
  while (high - low > 1) {
    const int32_t middle = (low + high) / 2;
    if (starts[middle] <= m_tile) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const int32_t m_tiles = starts[low + 1] - starts[low];
  const int32_t in_expert = tile - starts[low] * n_tiles;
  const int32_t band = in_expert / (kTileBand * n_tiles);
  const int32_t left = m_tiles - band * kTileBand;
  const int32_t height = left < kTileBand ? left : kTileBand;
  const int32_t in_band = in_expert - band * kTileBand * n_tiles;
  return {low, band * kTileBand + in_band % height, in_band / height};
}

// Byte offset of byte `byte` (0..127) of a row in a tile of 128-byte rows, as TMA's 128-byte
// swizzle lays it: 16-byte chunks are permuted by the row's place in its group of 8. The tile
// begins at a multiple of 1024 bytes.
MOEVAL_HD constexpr uint32_t swizzled(uint32_t row, uint32_t byte) {
  return row * kSwizzleBytes + (byte ^ ((row & 7u) << 4));
}

// A K-major operand of wgmma in that layout, at a shared-memory address: groups of 8 rows lie 1024
// bytes apart (the stride offset); the leading offset is not used. Moving by 16-byte units inside
// the 128-byte row is an addition to the descriptor: the hardware swizzles the sum.
MOEVAL_HD constexpr uint64_t wgmma_descriptor(uint32_t shared_address) {
  constexpr uint64_t kLeading = 1, kStride = 8 * kSwizzleBytes / 16, kSwizzle128 = 1;
  return ((shared_address & 0x3ffffu) >> 4) | (kLeading << 16) | (kStride << 32) |
         (kSwizzle128 << 62);
}
// The descriptor of what lies so many bytes further, a multiple of 16. Addresses of shared memory
// leave the address field room: the sum does not reach the next field, nor the upper word.
MOEVAL_HD constexpr uint64_t descriptor_at(uint64_t base, uint32_t bytes) {
  return (base & 0xffffffff00000000u) | (static_cast<uint32_t>(base) + (bytes >> 4));
}

}  // namespace moeval_cuda
