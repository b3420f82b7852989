// Owns the rotary embedding, the storing of keys and values, and attention over them.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "tests/support/reference_device/element.h"
#include "tests/support/reference_device/ops.h"
#include "tests/support/reference_device/rows.h"

namespace reference_device {
namespace {

void check_heads(const MoevalHeads& h) {
  if (h.d_head < 1 || h.n_kv_heads < 1 || h.n_heads < 1 || h.n_heads % h.n_kv_heads != 0) {
    throw DeviceError("heads: " + std::to_string(h.n_heads) + " over " +
                      std::to_string(h.n_kv_heads) + " of " + std::to_string(h.d_head) +
                      " elements");
  }
}

int64_t qkv_width(const MoevalHeads& h) { return (h.n_heads + 2 * h.n_kv_heads) * h.d_head; }

// Where the keys or values of KV heads in the blocks of a row are.
template <class T>
class KvOf {
 public:
  KvOf(const MoevalDevice& device, const MoevalHeads& heads, const MoevalRows& rows, int64_t row,
       int32_t layer)
      : device_(device), heads_(heads), rows_(rows), row_(row), layer_(layer) {}
  T* key(int64_t kv_head, int64_t position) const { return at(kv_head, position); }
  T* value(int64_t kv_head, int64_t position) const {
    return at(heads_.n_kv_heads + kv_head, position);
  }

 private:
  T* at(int64_t part, int64_t position) const {
    const int64_t part_size = kDeviceKvBlock * heads_.d_head;
    const int64_t layer_size = 2 * heads_.n_kv_heads * part_size;
    const auto bytes = static_cast<int64_t>(sizeof(T)) * (layer_ + 1) * layer_size;
    auto* block = static_cast<T*>(kv_block(device_, rows_, row_, position, bytes));
    return block + layer_ * layer_size + part * part_size +
           position % kDeviceKvBlock * heads_.d_head;
  }
  const MoevalDevice& device_;
  const MoevalHeads& heads_;
  const MoevalRows& rows_;
  int64_t row_;
  int32_t layer_;
};

template <class T>
void rotate(T* head, const float* cos_sin, int64_t d_rot, bool interleaved) {
  for (int64_t i = 0; i < d_rot / 2; ++i) {
    T& first = head[interleaved ? 2 * i : i];
    T& second = head[interleaved ? 2 * i + 1 : i + d_rot / 2];
    const double a = value_of(first), b = value_of(second);
    const double c = cos_sin[2 * i], s = cos_sin[2 * i + 1];
    store(a * c - b * s, first);
    store(a * s + b * c, second);
  }
}

// What one query gives. It sees positions 0..last.
template <class T>
void attend(const T* query, const KvOf<T>& kv, int64_t kv_head, int64_t last, int64_t d_head,
            T* out) {
  std::vector<double> weights(static_cast<size_t>(last + 1));
  for (int64_t p = 0; p <= last; ++p) {
    const T* key = kv.key(kv_head, p);
    double score = 0;
    for (int64_t i = 0; i < d_head; ++i) {
      score += static_cast<double>(value_of(query[i])) * value_of(key[i]);
    }
    weights[p] = score / std::sqrt(static_cast<double>(d_head));
  }
  const double max = *std::max_element(weights.begin(), weights.end());
  double sum = 0;
  for (double& w : weights) {
    w = std::exp(w - max);
    sum += w;
  }
  std::vector<double> result(static_cast<size_t>(d_head));
  for (int64_t p = 0; p <= last; ++p) {
    const T* value = kv.value(kv_head, p);
    for (int64_t i = 0; i < d_head; ++i) result[i] += weights[p] * value_of(value[i]);
  }
  for (int64_t i = 0; i < d_head; ++i) store(result[i] / sum, out[i]);
}

// A counter, which the caller hands over as 0 and gets back so, and sums: what a GPU needs where
// several thread blocks share a row. Not used here, but nothing of the caller's may be there.
void use_scratch(const MoevalDevice& device, const MoevalHeads& heads, int64_t m, void* scratch) {
  const auto words = static_cast<int64_t>(attention_scratch(heads, m) / sizeof(uint32_t));
  auto* all = device.memory.array<uint32_t>(scratch, words, "attention: scratch");
  if (all[0] != 0) throw DeviceError("attention: scratch was not zeroed, or others wrote to it");
  std::fill(all + 1, all + words, ~uint32_t{0});
}

}  // namespace

// The heads of a row, each or all at once, rounded to T.
template <class T>
void normalise(T* heads, int64_t n_heads, int64_t d_head, const float* weight,
               const MoevalQkNorm& norm) {
  const int64_t groups = norm.whole ? 1 : n_heads, n = norm.whole ? n_heads * d_head : d_head;
  for (int64_t g = 0; g < groups; ++g, heads += n) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += value_of(heads[i]) * value_of(heads[i]);
    const double scale = 1 / std::sqrt(sum / static_cast<double>(n) + norm.eps);
    for (int64_t i = 0; i < n; ++i) store(value_of(heads[i]) * scale * weight[i], heads[i]);
  }
}

void rope_and_store(MoevalDevice& device, const MoevalHeads& heads, const MoevalRows& rows,
                    int32_t layer, void* qkv, const MoevalQkNorm& norm, const float* cos_sin,
                    int64_t d_rot, int32_t interleaved) {
  check_heads(heads);
  check_rows(device, rows);
  if (d_rot < 0 || d_rot % 2 != 0 || d_rot > heads.d_head) {
    throw DeviceError("rope_and_store: " + std::to_string(d_rot) + " of " +
                      std::to_string(heads.d_head) + " elements of a head cannot turn in pairs");
  }
  with_type(heads.type, [&](auto zero) {
    using T = decltype(zero);
    const int64_t width = qkv_width(heads), d_head = heads.d_head;
    T* all = device.memory.array<T>(qkv, rows.m * width, "rope_and_store: qkv");
    for (int64_t r = 0; r < rows.m; ++r) {
      const int64_t position = rows.positions[r];
      if (position < 0) continue;
      T* row = all + r * width;
      const float* turn = cos_sin + position * d_rot;
      device.memory.array<float>(turn, d_rot, "rope_and_store: row of cos_sin");
      if (norm.q) {
        normalise(row, heads.n_heads, d_head, norm.q, norm);
        normalise(row + heads.n_heads * d_head, heads.n_kv_heads, d_head, norm.k, norm);
      }
      for (int64_t h = 0; h < heads.n_heads + heads.n_kv_heads; ++h) {
        rotate(row + h * d_head, turn, d_rot, interleaved != 0);
      }
      const KvOf<T> kv(device, heads, rows, r, layer);
      for (int64_t h = 0; h < heads.n_kv_heads; ++h) {
        const T* key = row + (heads.n_heads + h) * d_head;
        std::copy_n(key, d_head, kv.key(h, position));
        std::copy_n(key + heads.n_kv_heads * d_head, d_head, kv.value(h, position));
      }
    }
  });
}

void attention(MoevalDevice& device, const MoevalHeads& heads, const MoevalRows& rows,
               int32_t layer, const void* qkv, void* out, void* scratch) {
  check_heads(heads);
  check_rows(device, rows);
  use_scratch(device, heads, rows.m, scratch);
  with_type(heads.type, [&](auto zero) {
    using T = decltype(zero);
    const int64_t width = qkv_width(heads), d_head = heads.d_head;
    const T* all = device.memory.array<T>(qkv, rows.m * width, "attention: qkv");
    T* to = device.memory.array<T>(out, rows.m * heads.n_heads * d_head, "attention: out");
    for (int64_t r = 0; r < rows.m; ++r) {
      if (rows.positions[r] < 0) continue;
      const KvOf<T> kv(device, heads, rows, r, layer);
      for (int64_t h = 0; h < heads.n_heads; ++h) {
        attend(all + r * width + h * d_head, kv, h / (heads.n_heads / heads.n_kv_heads),
               rows.positions[r], d_head, to + (r * heads.n_heads + h) * d_head);
      }
    }
  });
}

void rope_attention(MoevalDevice& device, const MoevalHeads& heads, const MoevalRows& rows,
                    int32_t layer, void* qkv, const MoevalQkNorm& norm, const float* cos_sin,
                    int64_t d_rot, int32_t interleaved, void* out, void* scratch) {
  rope_and_store(device, heads, rows, layer, qkv, norm, cos_sin, d_rot, interleaved);
  attention(device, heads, rows, layer, qkv, out, scratch);
}

uint64_t attention_scratch(const MoevalHeads& heads, int64_t max_rows) {
  return static_cast<uint64_t>(1 + max_rows * heads.n_heads * (heads.d_head + 2)) *
         sizeof(uint32_t);
}

}  // namespace reference_device
