// Two ways through one panel, bitwise alike: few rows decode the weights in registers as they are
// used; many rows decode a chunk of k once into an fp32 tile that all rows share.
#include "kernels/cpu/panel.h"

#include <algorithm>
#include <cassert>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/panel.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/decode-inl.h"
#include "kernels/cpu/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// More rows than that share a decoded tile. Decoding for three or four rows at once takes more than
// 16 registers.
inline constexpr int64_t kDirectRows = HWY_TARGET == HWY_AVX3 ? 4 : 2;
inline constexpr int64_t kChunk = 256;  // k per tile: 64 KiB, half of a small second-level cache
static_assert(kPanelRows % kTileColumns == 0);

struct PanelView {
  Dtype dtype;
  const uint8_t* data;
  int64_t n_in;
  int64_t columns;  // lanes that are rows of the matrix; vectors past them are left out
};

// c[kRows, columns] = x . panel, kVectors of its vectors at a time.
template <template <int> class Decode, int kRows, int kVectors>
HWY_INLINE void direct_rows(const PanelView& p, const float* HWY_RESTRICT x, int64_t x_stride,
                            float* HWY_RESTRICT c) {
  using Decoder = Decode<kVectors>;
  const FloatTag d;
  const int64_t step = kPanelRows * block_bytes(p.dtype);
  for (int64_t lane = 0; lane < p.columns; lane += kVectors * kFloatLanes) {
    FloatVec acc[kRows][kVectors];
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::Zero(d);
    }
    for (int64_t k0 = 0; k0 < p.n_in; k0 += Decoder::kBlock) {
      Decoder decoder;
      decoder.load_block(p.data + k0 / Decoder::kStored * step,
                         k0 % Decoder::kStored / Decoder::kBlock, lane);
      for (int g = 0; g < Decoder::kBlock / Decoder::kGroup; ++g) {
        decoder.load_group(g);
        for (int i = 0; i < Decoder::kGroup; ++i) {
          FloatVec value[kRows];
          const int64_t k = k0 + g * Decoder::kGroup + i;
          for (int r = 0; r < kRows; ++r) value[r] = hn::Set(d, x[r * x_stride + k]);
          for (int v = 0; v < kVectors; ++v) {
            const FloatVec weight = decoder.next(v);
            for (int r = 0; r < kRows; ++r) acc[r][v] = hn::MulAdd(value[r], weight, acc[r][v]);
          }
        }
      }
    }
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        hn::StoreU(acc[r][v], d, c + r * kPanelRows + lane + v * kFloatLanes);
      }
    }
  }
}

template <template <int> class Decode>
HWY_NOINLINE void direct(const PanelView& p, const float* x, int64_t x_stride, int64_t rows,
                         float* c) {
  // With 16 registers two or four vectors at a time, with 32 the whole panel.
  constexpr int kOneRow = 4, kMoreRows = kTileVectors;
  switch (rows) {
    case 1:
      return direct_rows<Decode, 1, kOneRow>(p, x, x_stride, c);
    case 2:
      return direct_rows<Decode, 2, kMoreRows>(p, x, x_stride, c);
    case 3:
      return direct_rows<Decode, 3, kMoreRows>(p, x, x_stride, c);
    case 4:
      return direct_rows<Decode, 4, kMoreRows>(p, x, x_stride, c);
    default:
      assert(false);
  }
}

// Decodes k = k0..k0+n_k of the panel to tile[strip][k][kTileColumns].
template <template <int> class Decode>
HWY_NOINLINE void decode_tile(const PanelView& p, int64_t k0, int64_t n_k,
                              float* HWY_RESTRICT tile) {
  using Decoder = Decode<kTileVectors>;
  const FloatTag d;
  const int64_t step = kPanelRows * block_bytes(p.dtype);
  for (int64_t lane = 0; lane < p.columns; lane += kTileColumns) {
    float* out = tile + lane * kChunk;
    for (int64_t k = k0; k < k0 + n_k; k += Decoder::kBlock) {
      Decoder decoder;
      decoder.load_block(p.data + k / Decoder::kStored * step,
                         k % Decoder::kStored / Decoder::kBlock, lane);
      for (int g = 0; g < Decoder::kBlock / Decoder::kGroup; ++g) {
        decoder.load_group(g);
        for (int i = 0; i < Decoder::kGroup; ++i, out += kTileColumns) {
          for (int v = 0; v < kTileVectors; ++v) {
            hn::StoreU(decoder.next(v), d, out + v * kFloatLanes);
          }
        }
      }
    }
  }
}

void fill_tile(const PanelView& p, int64_t k0, int64_t n_k, float* tile) {
  switch (p.dtype) {
    case Dtype::f32:
      return decode_tile<DecodeF32>(p, k0, n_k, tile);
    case Dtype::f16:
      return decode_tile<DecodeF16>(p, k0, n_k, tile);
    case Dtype::bf16:
      return decode_tile<DecodeBf16>(p, k0, n_k, tile);
    case Dtype::q8_0:
      return decode_tile<DecodeQ8>(p, k0, n_k, tile);
    case Dtype::q4_0:
      return decode_tile<DecodeQ4_0>(p, k0, n_k, tile);
    case Dtype::q4_1:
      return decode_tile<DecodeQ4_1>(p, k0, n_k, tile);
    case Dtype::q5_0:
      return decode_tile<DecodeQ5_0>(p, k0, n_k, tile);
    case Dtype::q5_1:
      return decode_tile<DecodeQ5_1>(p, k0, n_k, tile);
    case Dtype::q4_k:
      return decode_tile<DecodeQ4K>(p, k0, n_k, tile);
    case Dtype::q5_k:
      return decode_tile<DecodeQ5K>(p, k0, n_k, tile);
    case Dtype::q6_k:
      return decode_tile<DecodeQ6K>(p, k0, n_k, tile);
  }
}

void tiled(const PanelView& p, const float* x, int64_t x_stride, int64_t rows, float* c) {
  HWY_ALIGN float tile[kChunk * kPanelRows];
  for (int64_t k0 = 0; k0 < p.n_in; k0 += kChunk) {
    const int64_t n_k = std::min(kChunk, p.n_in - k0);
    fill_tile(p, k0, n_k, tile);
    for (int64_t lane = 0; lane < p.columns; lane += kTileColumns) {
      strip_product<kTileVectors, false>(x + k0, x_stride, rows, tile + lane * kChunk, kTileColumns,
                                         kTileColumns, n_k, k0 > 0, c + lane, kPanelRows);
    }
  }
}

void panel_rows(Dtype dtype, const std::byte* panel, int64_t columns, int64_t n_in, const float* x,
                int64_t x_stride, int64_t rows, float* c) {
  const PanelView p{dtype, reinterpret_cast<const uint8_t*>(panel), n_in, columns};
  if (n_in == 0) {
    std::fill_n(c, rows * kPanelRows, 0.0f);
    return;
  }
  if (rows > kDirectRows) return tiled(p, x, x_stride, rows, c);
  switch (dtype) {
    case Dtype::f32:
      return direct<DecodeF32>(p, x, x_stride, rows, c);
    case Dtype::f16:
      return direct<DecodeF16>(p, x, x_stride, rows, c);
    case Dtype::bf16:
      return direct<DecodeBf16>(p, x, x_stride, rows, c);
    case Dtype::q8_0:
      return direct<DecodeQ8>(p, x, x_stride, rows, c);
    case Dtype::q4_0:
      return direct<DecodeQ4_0>(p, x, x_stride, rows, c);
    case Dtype::q4_1:
      return direct<DecodeQ4_1>(p, x, x_stride, rows, c);
    case Dtype::q5_0:
      return direct<DecodeQ5_0>(p, x, x_stride, rows, c);
    case Dtype::q5_1:
      return direct<DecodeQ5_1>(p, x, x_stride, rows, c);
    case Dtype::q4_k:
      return direct<DecodeQ4K>(p, x, x_stride, rows, c);
    case Dtype::q5_k:
      return direct<DecodeQ5K>(p, x, x_stride, rows, c);
    case Dtype::q6_k:
      return direct<DecodeQ6K>(p, x, x_stride, rows, c);
  }
}

// y[rows, columns] = x . w, w [n_in, columns] fp32.
void dense_product(const float* x, int64_t x_stride, int64_t rows, const float* w, int64_t columns,
                   int64_t n_in, float* y, int64_t y_stride) {
  tile_product(x, x_stride, rows, w, columns, columns, n_in, false, y, y_stride);
}

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kernels {

HWY_EXPORT(panel_rows);
HWY_EXPORT(dense_product);

void panel_product(const PackedMatrix& w, int64_t panel, const float* x, int64_t x_stride,
                   int64_t rows, float* c) {
  const int64_t columns = panel_columns(w, panel);
  HWY_DYNAMIC_DISPATCH(panel_rows)
  (w.dtype(), w.panel(panel), columns, w.n_in(), x, x_stride, rows, c);
}

void dense_tile_product(const float* x, int64_t x_stride, int64_t rows, const float* w,
                        int64_t columns, int64_t n_in, float* y, int64_t y_stride) {
  HWY_DYNAMIC_DISPATCH(dense_product)(x, x_stride, rows, w, columns, n_in, y, y_stride);
}

}  // namespace kernels
#endif
