#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace kernels {

void store_kv(const AttentionShape& s, const AttentionRow* rows, int64_t n_rows, const float* k,
              const float* v, int64_t kv_stride) {
  for (int64_t r = 0; r < n_rows; ++r) {
    const int64_t lane = rows[r].position % kKvBlock;
    float* keys = rows[r].blocks[rows[r].position / kKvBlock];
    float* values = keys + s.n_kv_heads * s.d_head * kKvBlock;
    for (int64_t h = 0; h < s.n_kv_heads; ++h) {
      for (int64_t d = 0; d < s.d_head; ++d) {
        keys[(h * s.d_head + d) * kKvBlock + lane] = k[r * kv_stride + h * s.d_head + d];
        values[(h * kKvBlock + lane) * s.d_head + d] = v[r * kv_stride + h * s.d_head + d];
      }
    }
  }
}

void attention(const AttentionShape& s, const float* q, int64_t q_stride, const AttentionRow* rows,
               int64_t n_rows, float* out, int64_t out_stride, ThreadPool& pool) {
  for (int64_t r = 0; r < n_rows; ++r) {
    pool.launched(OpKind::attention) += attention_cost(s, rows[r].position + 1);
  }
  const int64_t group = s.n_heads / s.n_kv_heads;
  pool.parallel_for(n_rows * s.n_heads, [&](int64_t i, int) {
    const int64_t r = i / s.n_heads, h = i % s.n_heads, kv = h / group;
    const int64_t n = rows[r].position + 1;
    const float scale = 1.0f / std::sqrt(static_cast<float>(s.d_head));
    const float* query = q + r * q_stride + h * s.d_head;
    float* o = out + r * out_stride + h * s.d_head;
    std::vector<float> p(static_cast<size_t>(n));
    for (int64_t t = 0; t < n; ++t) {
      const float* keys = rows[r].blocks[t / kKvBlock] + kv * s.d_head * kKvBlock + t % kKvBlock;
      float acc = 0;
      for (int64_t d = 0; d < s.d_head; ++d) acc = std::fma(query[d], keys[d * kKvBlock], acc);
      p[static_cast<size_t>(t)] = acc * scale;
    }
    const float max = *std::max_element(p.begin(), p.end());
    float sum = 0;
    for (float& x : p) sum += x = std::exp(x - max);
    for (int64_t d = 0; d < s.d_head; ++d) {
      float acc = 0;
      for (int64_t t = 0; t < n; ++t) {
        const float* values = rows[r].blocks[t / kKvBlock] + s.n_kv_heads * s.d_head * kKvBlock +
                              (kv * kKvBlock + t % kKvBlock) * s.d_head;
        acc = std::fma(p[static_cast<size_t>(t)], values[d], acc);
      }
      o[d] = acc / sum;
    }
  });
}

Cost attention_cost(const AttentionShape& s, int64_t n_visible) {
  return {4 * static_cast<uint64_t>(s.n_heads) * static_cast<uint64_t>(s.d_head) *
              static_cast<uint64_t>(n_visible),
          0};
}

}  // namespace kernels
