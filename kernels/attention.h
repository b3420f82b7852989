// Contract of causal grouped-query attention over a paged key/value cache.
#pragma once

#include <cstdint>

#include "kernels/cost.h"
#include "kernels/thread_pool.h"

namespace kernels {

// A KV block holds kKvBlock consecutive absolute positions of one sequence for one layer:
//   keys   [n_kv_heads, d_head, kKvBlock]  (transposed: one lane is one position)
//   values [n_kv_heads, kKvBlock, d_head]
// as fp32, keys first. Tiles lie at absolute positions, so a result does not depend on how the
// prompt was split into batches or forks.
inline constexpr int64_t kKvBlock = 64;

struct AttentionShape {
  int64_t n_heads = 0, n_kv_heads = 0, d_head = 0;
  int64_t kv_block_floats() const { return 2 * n_kv_heads * d_head * kKvBlock; }
};

// One query row: it sees positions 0..position. blocks[b] is the KV block of positions
// [b*kKvBlock, (b+1)*kKvBlock) of its sequence, for the layer at hand.
struct AttentionRow {
  int64_t position = 0;
  float* const* blocks = nullptr;
};

// Writes k, v [n_kv_heads * d_head] of each row into its sequence's block at its position.
void store_kv(const AttentionShape&, const AttentionRow* rows, int64_t n_rows, const float* k,
              const float* v, int64_t kv_stride);

// out[r, h*d_head..] = softmax(q.K / sqrt(d_head)) V over positions 0..rows[r].position.
// q, out: [n_rows, n_heads * d_head], strides in floats. Rows of one sequence should be adjacent:
// they share the reading of its blocks. Bitwise independent of n_rows and of threads.
void attention(const AttentionShape&, const float* q, int64_t q_stride, const AttentionRow* rows,
               int64_t n_rows, float* out, int64_t out_stride, ThreadPool&);

// Score and value products of one row that sees n_visible positions: 4*n_heads*d_head*n_visible.
Cost attention_cost(const AttentionShape&, int64_t n_visible);

}  // namespace kernels
