// Owns the one inner loop of matmul and attention: a register tile of rows x columns in which every
// output is acc = fma(x[k], w[k], acc) over k in order. A vector lane is one output column, so the
// result of an output does not depend on the shape of the tile that computed it.

#if defined(MOEVAL_KERNELS_CPU_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MOEVAL_KERNELS_CPU_TILE_INL_H_
#undef MOEVAL_KERNELS_CPU_TILE_INL_H_
#else
#define MOEVAL_KERNELS_CPU_TILE_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;

inline constexpr int64_t kFloatLanes = HWY_LANES(float);

// The register tile: 24 of 32 registers with AVX-512, 12 of 16 otherwise.
inline constexpr int kTileRows = 6;
inline constexpr int kTileVectors = HWY_TARGET == HWY_AVX3 ? 4 : 2;
inline constexpr int64_t kTileColumns = kTileVectors * kFloatLanes;

// c[kRows, columns] = (resume ? c : 0) + x[kRows, n_k] . w[n_k, columns]. Columns: kVectors
// vectors, or, when kMasked, the first `columns` lanes of one.
template <int kRows, int kVectors, bool kMasked>
HWY_INLINE void register_tile(const float* HWY_RESTRICT x, int64_t x_stride,
                              const float* HWY_RESTRICT w, int64_t w_stride, int64_t columns,
                              int64_t n_k, bool resume, float* HWY_RESTRICT c, int64_t c_stride) {
  static_assert(!kMasked || kVectors == 1);
  const FloatTag d;
  const auto mask = hn::FirstN(d, kMasked ? static_cast<size_t>(columns) : hn::Lanes(d));
  FloatVec acc[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      const float* from = c + r * c_stride + v * kFloatLanes;
      if (!resume) {
        acc[r][v] = hn::Zero(d);
      } else {
        acc[r][v] = kMasked ? hn::MaskedLoad(mask, d, from) : hn::LoadU(d, from);
      }
    }
  }
  for (int64_t k = 0; k < n_k; ++k, w += w_stride) {
    FloatVec weights[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const float* from = w + v * kFloatLanes;
      weights[v] = kMasked ? hn::MaskedLoad(mask, d, from) : hn::LoadU(d, from);
    }
    for (int r = 0; r < kRows; ++r) {
      const FloatVec value = hn::Set(d, x[r * x_stride + k]);
      for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::MulAdd(value, weights[v], acc[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      float* to = c + r * c_stride + v * kFloatLanes;
      if (kMasked) {
        hn::BlendedStore(acc[r][v], mask, d, to);
      } else {
        hn::StoreU(acc[r][v], d, to);
      }
    }
  }
}

// One strip of columns, all rows.
template <int kVectors, bool kMasked>
HWY_NOINLINE void strip_product(const float* x, int64_t x_stride, int64_t rows, const float* w,
                                int64_t w_stride, int64_t columns, int64_t n_k, bool resume,
                                float* c, int64_t c_stride) {
  for (; rows > 0; rows -= kTileRows, x += kTileRows * x_stride, c += kTileRows * c_stride) {
    switch (std::min<int64_t>(rows, kTileRows)) {
#define MOEVAL_TILE(n)                                                                     \
  case n:                                                                                  \
    register_tile<n, kVectors, kMasked>(x, x_stride, w, w_stride, columns, n_k, resume, c, \
                                        c_stride);                                         \
    break
      MOEVAL_TILE(1);
      MOEVAL_TILE(2);
      MOEVAL_TILE(3);
      MOEVAL_TILE(4);
      MOEVAL_TILE(5);
      MOEVAL_TILE(6);
#undef MOEVAL_TILE
      default:
        break;
    }
  }
}

// c[rows, columns] = (resume ? c : 0) + x[rows, n_k] . w[n_k, columns], any sizes. Touches nothing
// outside them.
HWY_INLINE void tile_product(const float* x, int64_t x_stride, int64_t rows, const float* w,
                             int64_t w_stride, int64_t columns, int64_t n_k, bool resume, float* c,
                             int64_t c_stride) {
  int64_t at = 0;
  for (; at + kTileColumns <= columns; at += kTileColumns) {
    strip_product<kTileVectors, false>(x, x_stride, rows, w + at, w_stride, kTileColumns, n_k,
                                       resume, c + at, c_stride);
  }
  for (; at + kFloatLanes <= columns; at += kFloatLanes) {
    strip_product<1, false>(x, x_stride, rows, w + at, w_stride, kFloatLanes, n_k, resume, c + at,
                            c_stride);
  }
  if (at < columns) {
    strip_product<1, true>(x, x_stride, rows, w + at, w_stride, columns - at, n_k, resume, c + at,
                           c_stride);
  }
}

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
