// Scores and value products run through the register tile of matmul, so that a block of keys or
// values is read once for all heads of a group and all rows of a tile that share the block. The
// softmax is exact (two passes); its sum runs over vectors at absolute positions.
#include "kernels/attention.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/exp-inl.h"
#include "kernels/cpu/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The rows of one tile and one KV head. A query is one (row, head of the group), row-major.
struct AttentionTile {
  const AttentionShape& shape;
  const AttentionRow* rows;
  int64_t n_rows, kv_head;

  int64_t group() const { return shape.n_heads / shape.n_kv_heads; }
  const float* keys(const float* block) const { return block + kv_head * shape.d_head * kKvBlock; }
  const float* values(const float* block) const {
    return block + (shape.n_kv_heads + kv_head) * shape.d_head * kKvBlock;
  }
  int64_t last_block(int64_t row) const { return rows[row].position / kKvBlock; }
  int64_t max_block() const {
    int64_t last = 0;
    for (int64_t r = 0; r < n_rows; ++r) last = std::max(last, last_block(r));
    return last;
  }
  bool sees_all(int64_t row, int64_t b) const {
    return rows[row].position >= (b + 1) * kKvBlock - 1;
  }
  // End of the run of rows from `first` that read the very same block b; whole: and see all of it.
  int64_t run_end(int64_t first, int64_t b, bool whole) const {
    int64_t r = first + 1;
    while (r < n_rows && last_block(r) >= b && rows[r].blocks[b] == rows[first].blocks[b] &&
           (!whole || sees_all(r, b))) {
      ++r;
    }
    return r;
  }
};

// Replaces the scores of positions 0..n-1 by exp((s - max) * scale); returns their sum.
HWY_INLINE float softmax_weights(float* scores, int64_t n, float scale) {
  const FloatTag d;
  const FloatVec lowest = hn::Set(d, -HUGE_VALF);
  FloatVec top = lowest;
  int64_t i = 0;
  for (; i + kFloatLanes <= n; i += kFloatLanes) top = hn::Max(top, hn::LoadU(d, scores + i));
  const auto tail = hn::FirstN(d, static_cast<size_t>(n - i));
  if (i < n) top = hn::Max(top, hn::IfThenElse(tail, hn::LoadU(d, scores + i), lowest));
  const FloatVec max = hn::MaxOfLanes(d, top);
  const FloatVec factor = hn::Set(d, scale);
  FloatVec sum = hn::Zero(d);
  for (i = 0; i + kFloatLanes <= n; i += kFloatLanes) {
    const FloatVec weight = exp_of(d, hn::Mul(hn::Sub(hn::LoadU(d, scores + i), max), factor));
    hn::StoreU(weight, d, scores + i);
    sum = hn::Add(sum, weight);
  }
  if (i < n) {
    const FloatVec weight = exp_of(d, hn::Mul(hn::Sub(hn::LoadU(d, scores + i), max), factor));
    hn::StoreU(weight, d, scores + i);
    sum = hn::Add(sum, hn::IfThenElseZero(tail, weight));
  }
  HWY_ALIGN float lanes[kFloatLanes];
  hn::Store(sum, d, lanes);
  float total = 0;
  for (float lane : lanes) total += lane;
  return total;
}

// scratch: queries, sums and outputs of the tile, then its scores; see scratch_floats.
void attend(const AttentionShape& shape, const AttentionRow* rows, int64_t n_rows, int64_t kv_head,
            const float* q, int64_t q_stride, float* out, int64_t out_stride, float* scratch) {
  const AttentionTile t{shape, rows, n_rows, kv_head};
  const int64_t d_head = t.shape.d_head, group = t.group(), n_queries = t.n_rows * group;
  const int64_t blocks = t.max_block() + 1, stride = blocks * kKvBlock;
  float* queries = scratch;
  float* sums = queries + n_queries * d_head;
  float* acc = sums + n_queries;
  float* scores = acc + n_queries * d_head;
  const int64_t column = t.kv_head * group * d_head;
  for (int64_t r = 0; r < t.n_rows; ++r) {
    std::copy_n(q + r * q_stride + column, group * d_head, queries + r * group * d_head);
  }

  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t r = 0; r < t.n_rows;) {
      if (b > t.last_block(r)) {
        ++r;
        continue;
      }
      const int64_t end = t.run_end(r, b, false);
      tile_product(queries + r * group * d_head, d_head, (end - r) * group,
                   t.keys(t.rows[r].blocks[b]), kKvBlock, kKvBlock, d_head, false,
                   scores + r * group * stride + b * kKvBlock, stride);
      r = end;
    }
  }

  const float scale = 1.0f / std::sqrt(static_cast<float>(d_head));
  for (int64_t i = 0; i < n_queries; ++i) {
    sums[i] = softmax_weights(scores + i * stride, t.rows[i / group].position + 1, scale);
  }

  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t r = 0; r < t.n_rows;) {
      if (b > t.last_block(r)) {
        ++r;
        continue;
      }
      const bool whole = t.sees_all(r, b);
      const int64_t end = whole ? t.run_end(r, b, true) : r + 1;
      const int64_t n = whole ? kKvBlock : t.rows[r].position + 1 - b * kKvBlock;
      tile_product(scores + r * group * stride + b * kKvBlock, stride, (end - r) * group,
                   t.values(t.rows[r].blocks[b]), d_head, d_head, n, b > 0,
                   acc + r * group * d_head, d_head);
      r = end;
    }
  }

  for (int64_t i = 0; i < n_queries; ++i) {
    float* to = out + i / group * out_stride + column + i % group * d_head;
    for (int64_t j = 0; j < d_head; ++j) to[j] = acc[i * d_head + j] / sums[i];
  }
}

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kernels {

HWY_EXPORT(attend);

static constexpr int64_t kTileQueries = 24;            // queries that share the reading of a block
static constexpr int64_t kScratchFloats = 128 * 1024;  // half of a small second-level cache

static int64_t scratch_floats(const AttentionShape& s, int64_t n_rows, int64_t max_position) {
  const int64_t queries = n_rows * (s.n_heads / s.n_kv_heads);
  return queries * (2 * s.d_head + 1 + (max_position / kKvBlock + 1) * kKvBlock);
}

// Rows per task; it changes the speed only.
static int64_t rows_per_tile(const AttentionShape& s, int64_t n_rows, int64_t max_position,
                             int threads) {
  int64_t rows = std::max<int64_t>(1, kTileQueries / (s.n_heads / s.n_kv_heads));
  const auto tasks = [&] { return (n_rows + rows - 1) / rows * s.n_kv_heads; };
  while (rows > 1 &&
         (tasks() < 4 * threads || scratch_floats(s, rows, max_position) > kScratchFloats)) {
    rows = (rows + 1) / 2;
  }
  return rows;
}

void store_kv(const AttentionShape& s, const AttentionRow* rows, int64_t n_rows, const float* k,
              const float* v, int64_t kv_stride) {
  for (int64_t r = 0; r < n_rows; ++r) {
    const int64_t lane = rows[r].position % kKvBlock;
    float* keys = rows[r].blocks[rows[r].position / kKvBlock];
    float* values = keys + s.n_kv_heads * s.d_head * kKvBlock;
    for (int64_t h = 0; h < s.n_kv_heads; ++h) {
      const int64_t head = r * kv_stride + h * s.d_head;
      for (int64_t d = 0; d < s.d_head; ++d) {
        keys[(h * s.d_head + d) * kKvBlock + lane] = k[head + d];
      }
      std::copy_n(v + head, s.d_head, values + (h * kKvBlock + lane) * s.d_head);
    }
  }
}

void attention(const AttentionShape& s, const float* q, int64_t q_stride, const AttentionRow* rows,
               int64_t n_rows, float* out, int64_t out_stride, ThreadPool& pool) {
  assert(s.n_kv_heads > 0 && s.n_heads % s.n_kv_heads == 0);
  int64_t max_position = 0;
  for (int64_t r = 0; r < n_rows; ++r) {
    pool.launched(OpKind::attention) += attention_cost(s, rows[r].position + 1);
    max_position = std::max(max_position, rows[r].position);
  }
  const int64_t per_tile = rows_per_tile(s, n_rows, max_position, pool.size());
  const int64_t tiles = (n_rows + per_tile - 1) / per_tile;
  const auto floats = static_cast<size_t>(scratch_floats(s, per_tile, max_position));
  pool.parallel_for(tiles * s.n_kv_heads, [&](int64_t task, int) {
    thread_local std::vector<float> scratch;
    if (scratch.size() < floats) scratch.resize(floats);
    const int64_t kv_head = task % s.n_kv_heads, row0 = task / s.n_kv_heads * per_tile;
    HWY_DYNAMIC_DISPATCH(attend)
    (s, rows + row0, std::min(per_tile, n_rows - row0), kv_head, q + row0 * q_stride, q_stride,
     out + row0 * out_stride, out_stride, scratch.data());
  });
}

Cost attention_cost(const AttentionShape& s, int64_t n_visible) {
  return {4 * static_cast<uint64_t>(s.n_heads) * static_cast<uint64_t>(s.d_head) *
              static_cast<uint64_t>(n_visible),
          0};
}

}  // namespace kernels
#endif
