// Owns the index arithmetic of the paged keys and values on a GPU, for kernels and for tests on the
// host: no CUDA header is needed.
#pragma once

#include <cstdint>

#include "kernels/cuda/host_device.h"

namespace moeval_cuda {

inline constexpr int kKvPositions = 64;  // in one block: kDeviceKvBlock

// Elements of one layer of a block.
MOEVAL_HD constexpr int64_t kv_layer_elements(int64_t n_kv_heads, int64_t d_head) {
  return 2 * n_kv_heads * kKvPositions * d_head;
}

// Where a head's keys, or values, of a layer begin in a block; position p lies (p % 64) * d_head
// behind it.
MOEVAL_HD constexpr int64_t key_offset(int64_t layer, int64_t kv_head, int64_t n_kv_heads,
                                       int64_t d_head) {
  return layer * kv_layer_elements(n_kv_heads, d_head) + kv_head * kKvPositions * d_head;
}
MOEVAL_HD constexpr int64_t value_offset(int64_t layer, int64_t kv_head, int64_t n_kv_heads,
                                         int64_t d_head) {
  return key_offset(layer, n_kv_heads + kv_head, n_kv_heads, d_head);
}

// Decode: how the visible positions of a row are shared out to at most n_splits thread blocks, in
// whole KV blocks. Only the first active_splits() have any, and each of those has one at least.
struct KvSplit {
  int begin, end;
};
MOEVAL_HD constexpr int kv_blocks(int visible) { return (visible - 1) / kKvPositions + 1; }
// To put splits together costs more than a few blocks do: so many are one split.
inline constexpr int kUnsplitBlocks = 3;
MOEVAL_HD constexpr int blocks_per_split(int visible, int n_splits) {
  const int blocks = kv_blocks(visible);
  return blocks <= kUnsplitBlocks ? blocks : (blocks - 1) / n_splits + 1;
}
MOEVAL_HD constexpr int active_splits(int visible, int n_splits) {
  return (kv_blocks(visible) - 1) / blocks_per_split(visible, n_splits) + 1;
}
MOEVAL_HD constexpr KvSplit kv_split(int visible, int n_splits, int split) {
  const int each = blocks_per_split(visible, n_splits) * kKvPositions;
  const int begin = split * each < visible ? split * each : visible;
  return {begin, visible - begin < each ? visible : begin + each};
}

// Splits of the grid of n_units (row, KV head) pairs: enough to fill the GPU, whatever the
// positions are. More than 1 only where n_units < target, so that there are never 2 * target.
inline constexpr int kMaxSplits = 64;
MOEVAL_HD constexpr int64_t grid_splits(int64_t n_units, int64_t target) {
  const int64_t wanted = n_units < target ? (target + n_units - 1) / n_units : 1;
  return wanted < kMaxSplits ? wanted : kMaxSplits;
}

// Shared memory of kChunks 16-byte chunks a row (a multiple of 8): the place, in bytes, of a chunk.
// The 8 chunks of one column that ldmatrix reads together, of rows r..r+7, lie in different banks.
template <int kChunks>
MOEVAL_HD constexpr int swizzled(int row, int chunk) {
  static_assert(kChunks % 8 == 0);
  return (row * kChunks + (chunk ^ (row & 7))) * 16;
}

}  // namespace moeval_cuda
