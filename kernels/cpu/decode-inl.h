// Owns the decoders: each turns the interleaved blocks of one weight type into vectors of fp32
// weights, one lane per output row, k after k. Values are bitwise those of dequantise_row: d*q is
// exact in fp32 (11 bits by at most 8), so d*q + m rounds once with or without a fused operation.

#if defined(MOEVAL_KERNELS_CPU_DECODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MOEVAL_KERNELS_CPU_DECODE_INL_H_
#undef MOEVAL_KERNELS_CPU_DECODE_INL_H_
#else
#define MOEVAL_KERNELS_CPU_DECODE_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/cpu/tile-inl.h"
#include "kernels/half.h"
#include "kernels/packed_layout.h"

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using IntTag = hn::RebindToSigned<FloatTag>;
using IntVec = hn::Vec<IntTag>;

HWY_INLINE FloatVec load_halves(const uint8_t* p) {
#if HWY_TARGET == HWY_SCALAR
  return hn::Set(FloatTag(), half_to_float(static_cast<uint16_t>(p[0] | p[1] << 8)));
#else
  const hn::Rebind<hwy::float16_t, FloatTag> dh;
  return hn::PromoteTo(FloatTag(), hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(p)));
#endif
}

// The values of the low four bits of each lane, less kZero.
template <int kZero>
HWY_INLINE FloatVec low_nibbles(IntVec q) {
#if HWY_TARGET == HWY_AVX3
  // A table of the 16 values: the permutation looks at the low four bits of an index only, so it
  // does the masking, the offset and the conversion at once.
  alignas(64) static constexpr float kTable[16] = {
      0 - kZero, 1 - kZero, 2 - kZero,  3 - kZero,  4 - kZero,  5 - kZero,  6 - kZero,  7 - kZero,
      8 - kZero, 9 - kZero, 10 - kZero, 11 - kZero, 12 - kZero, 13 - kZero, 14 - kZero, 15 - kZero};
  return FloatVec{_mm512_permutexvar_ps(q.raw, hn::Load(FloatTag(), kTable).raw)};
#else
  const IntVec low = hn::And(q, hn::Set(IntTag(), 15));
  if constexpr (kZero == 0) return hn::ConvertTo(FloatTag(), low);
  return hn::ConvertTo(FloatTag(), hn::Sub(low, hn::Set(IntTag(), kZero)));
#endif
}

// (low four bits of q | bits of high under kMask) - kZero.
template <int kMask, int kZero>
HWY_INLINE FloatVec joined_bits(IntVec q, IntVec high) {
  const IntTag di;
  const IntVec both = hn::Or(hn::And(q, hn::Set(di, 15)), hn::And(high, hn::Set(di, kMask)));
  if constexpr (kZero == 0) return hn::ConvertTo(FloatTag(), both);
  return hn::ConvertTo(FloatTag(), hn::Sub(both, hn::Set(di, kZero)));
}

// A decoder of kVectors vectors. Each kBlock of k share a scale and lie in a stored block of
// kStored: load_block(interleaved stored block, which kBlock of it, lane), then for each group of
// kGroup k in order load_group(g) and kGroup times next(v) for every v.

template <int kVectors>
struct DecodeF32 {
  static constexpr int kStored = 1, kBlock = 1, kGroup = 1;
  const float* at;
  HWY_INLINE void load_block(const uint8_t* b, int64_t, int64_t lane) {
    at = reinterpret_cast<const float*>(b) + lane;
  }
  HWY_INLINE void load_group(int) {}
  HWY_INLINE FloatVec next(int v) { return hn::LoadU(FloatTag(), at + v * kFloatLanes); }
};

template <int kVectors>
struct DecodeF16 {
  static constexpr int kStored = 1, kBlock = 1, kGroup = 1;
  const uint8_t* at;
  HWY_INLINE void load_block(const uint8_t* b, int64_t, int64_t lane) { at = b + 2 * lane; }
  HWY_INLINE void load_group(int) {}
  HWY_INLINE FloatVec next(int v) { return load_halves(at + 2 * v * kFloatLanes); }
};

template <int kVectors>
struct DecodeBf16 {
  static constexpr int kStored = 1, kBlock = 1, kGroup = 1;
  const uint16_t* at;
  HWY_INLINE void load_block(const uint8_t* b, int64_t, int64_t lane) {
    at = reinterpret_cast<const uint16_t*>(b) + lane;
  }
  HWY_INLINE void load_group(int) {}
  HWY_INLINE FloatVec next(int v) {
    const hn::Rebind<uint16_t, FloatTag> du16;
    const hn::RebindToUnsigned<FloatTag> du32;
    const auto bits = hn::PromoteTo(du32, hn::LoadU(du16, at + v * kFloatLanes));
    return hn::BitCast(FloatTag(), hn::ShiftLeft<16>(bits));
  }
};

template <int kVectors>
struct DecodeQ8 {
  static constexpr int kStored = 32, kBlock = 32, kGroup = 1;
  FloatVec scale[kVectors];
  const int8_t* quants;
  const int8_t* at;
  HWY_INLINE void load_block(const uint8_t* b, int64_t, int64_t lane) {
    for (int v = 0; v < kVectors; ++v) scale[v] = load_halves(b + 2 * (lane + v * kFloatLanes));
    quants = reinterpret_cast<const int8_t*>(b + 2 * kPanelRows) + lane;
  }
  HWY_INLINE void load_group(int g) { at = quants + g * kPanelRows; }
  HWY_INLINE FloatVec next(int v) {
    const hn::Rebind<int8_t, FloatTag> d8;
    const IntVec q = hn::PromoteTo(IntTag(), hn::LoadU(d8, at + v * kFloatLanes));
    return hn::Mul(scale[v], hn::ConvertTo(FloatTag(), q));
  }
};

// Four or five bits; values are (q - 8) or (q - 16) times d, or, with a minimum, d*q + m.
template <bool kHasMin, bool kHasHigh, int kVectors>
struct DecodeNibbles {
  static constexpr int kStored = 32, kBlock = 32, kGroup = 8;
  static constexpr NibbleLayout kAt = nibble_layout(kHasMin, kHasHigh);
  static constexpr int kZero = kHasMin ? 0 : (kHasHigh ? 16 : 8);
  FloatVec scale[kVectors], min[kVectors];
  IntVec quants[kVectors], high[kVectors], high_now[kVectors];
  const int32_t* words;

  HWY_INLINE void load_block(const uint8_t* b, int64_t, int64_t lane) {
    words = reinterpret_cast<const int32_t*>(b + kAt.quants) + lane;
    for (int v = 0; v < kVectors; ++v) {
      const int64_t l = lane + v * kFloatLanes;
      scale[v] = load_halves(b + 2 * l);
      if constexpr (kHasMin) min[v] = load_halves(b + kAt.min + 2 * l);
      if constexpr (kHasHigh) {
        high[v] = hn::LoadU(IntTag(), reinterpret_cast<const int32_t*>(b + kAt.high) + l);
      }
    }
  }

  HWY_INLINE void load_group(int g) {
    for (int v = 0; v < kVectors; ++v) {
      quants[v] = hn::LoadU(IntTag(), words + g * kPanelRows + v * kFloatLanes);
      if constexpr (kHasHigh) {
        high_now[v] = hn::ShiftLeft<4>(high[v]);
        high[v] = hn::ShiftRight<8>(high[v]);
      }
    }
  }

  HWY_INLINE FloatVec next(int v) {
    FloatVec q;
    if constexpr (kHasHigh) {
      q = joined_bits<16, kZero>(quants[v], high_now[v]);
      high_now[v] = hn::ShiftRight<1>(high_now[v]);
    } else {
      q = low_nibbles<kZero>(quants[v]);
    }
    quants[v] = hn::ShiftRight<4>(quants[v]);
    if constexpr (kHasMin) return hn::MulAdd(scale[v], q, min[v]);
    return hn::Mul(scale[v], q);
  }
};

template <int kVectors>
using DecodeQ4_0 = DecodeNibbles<false, false, kVectors>;
template <int kVectors>
using DecodeQ4_1 = DecodeNibbles<true, false, kVectors>;
template <int kVectors>
using DecodeQ5_0 = DecodeNibbles<false, true, kVectors>;
template <int kVectors>
using DecodeQ5_1 = DecodeNibbles<true, true, kVectors>;

HWY_INLINE IntVec load_bytes(const uint8_t* p) {
  return hn::PromoteTo(IntTag(), hn::LoadU(hn::Rebind<uint8_t, FloatTag>(), p));
}

// d*scale and dmin*min of a sub-block of 32 are exact (11 bits by 6), and so is their product with
// q.
template <bool kHasHigh, int kVectors>
struct DecodeQ45K {
  static constexpr int kStored = 256, kBlock = 32, kGroup = 8;
  static constexpr SuperLayout kAt = kQ45KLayout;
  FloatVec scale[kVectors], min[kVectors];
  IntVec quants[kVectors], high[kVectors], high_now[kVectors];
  const int32_t* words;

  // The six-bit scale and minimum of sub-block j: as scale_min in dtype.cc.
  HWY_INLINE void load_block(const uint8_t* b, int64_t j, int64_t first_lane) {
    const IntTag di;
    const FloatTag d;
    const IntVec six = hn::Set(di, 63), four = hn::Set(di, 15), upper = hn::Set(di, 48);
    words = reinterpret_cast<const int32_t*>(b + kAt.low) + j * 4 * kPanelRows + first_lane;
    for (int v = 0; v < kVectors; ++v) {
      const int64_t lane = first_lane + v * kFloatLanes;
      const uint8_t* bytes = b + kAt.scales + lane;
      const IntVec later = load_bytes(bytes + (j + 4) * kPanelRows);
      const IntVec same = load_bytes(bytes + j * kPanelRows);
      IntVec s, m;
      if (j < 4) {
        s = hn::And(same, six);
        m = hn::And(later, six);
      } else {
        const IntVec earlier = load_bytes(bytes + (j - 4) * kPanelRows);
        s = hn::Or(hn::And(later, four), hn::And(hn::ShiftRight<2>(earlier), upper));
        m = hn::Or(hn::ShiftRight<4>(later), hn::And(hn::ShiftRight<2>(same), upper));
      }
      scale[v] = hn::Mul(load_halves(b + 2 * lane), hn::ConvertTo(d, s));
      min[v] = hn::Mul(load_halves(b + kSuperMin + 2 * lane), hn::ConvertTo(d, m));
      if constexpr (kHasHigh) {
        const auto* fifth = reinterpret_cast<const int32_t*>(b + kAt.high);
        high[v] = hn::LoadU(di, fifth + j * kPanelRows + lane);
      }
    }
  }

  HWY_INLINE void load_group(int g) {
    for (int v = 0; v < kVectors; ++v) {
      quants[v] = hn::LoadU(IntTag(), words + g * kPanelRows + v * kFloatLanes);
      if constexpr (kHasHigh) {
        high_now[v] = hn::ShiftLeft<4>(high[v]);
        high[v] = hn::ShiftRight<8>(high[v]);
      }
    }
  }

  HWY_INLINE FloatVec next(int v) {
    FloatVec q;
    if constexpr (kHasHigh) {
      q = joined_bits<16, 0>(quants[v], high_now[v]);
      high_now[v] = hn::ShiftRight<1>(high_now[v]);
    } else {
      q = low_nibbles<0>(quants[v]);
    }
    quants[v] = hn::ShiftRight<4>(quants[v]);
    return hn::MulSub(scale[v], q, min[v]);
  }
};

template <int kVectors>
using DecodeQ4K = DecodeQ45K<false, kVectors>;
template <int kVectors>
using DecodeQ5K = DecodeQ45K<true, kVectors>;

// d*scale is exact (11 bits by 8); its product with q rounds once, here as there.
template <int kVectors>
struct DecodeQ6K {
  static constexpr int kStored = 256, kBlock = 16, kGroup = 8;
  static constexpr SuperLayout kAt = kQ6KLayout;
  FloatVec scale[kVectors];
  IntVec quants[kVectors], high[kVectors], high_now[kVectors];
  const int32_t* words;

  HWY_INLINE void load_block(const uint8_t* b, int64_t j, int64_t first_lane) {
    const IntTag di;
    const hn::Rebind<int8_t, FloatTag> d8;
    const auto* scales = reinterpret_cast<const int8_t*>(b + kAt.scales) + j * kPanelRows;
    const auto* upper = reinterpret_cast<const int32_t*>(b + kAt.high) + j * kPanelRows;
    words = reinterpret_cast<const int32_t*>(b + kAt.low) + j * 2 * kPanelRows + first_lane;
    for (int v = 0; v < kVectors; ++v) {
      const int64_t lane = first_lane + v * kFloatLanes;
      const IntVec s = hn::PromoteTo(di, hn::LoadU(d8, scales + lane));
      scale[v] = hn::Mul(load_halves(b + 2 * lane), hn::ConvertTo(FloatTag(), s));
      high[v] = hn::LoadU(di, upper + lane);
    }
  }

  HWY_INLINE void load_group(int g) {
    for (int v = 0; v < kVectors; ++v) {
      quants[v] = hn::LoadU(IntTag(), words + g * kPanelRows + v * kFloatLanes);
      high_now[v] = hn::ShiftLeft<4>(high[v]);
      high[v] = hn::ShiftRight<16>(high[v]);
    }
  }

  HWY_INLINE FloatVec next(int v) {
    const FloatVec q = joined_bits<48, 32>(quants[v], high_now[v]);
    high_now[v] = hn::ShiftRight<2>(high_now[v]);
    quants[v] = hn::ShiftRight<4>(quants[v]);
    return hn::Mul(scale[v], q);
  }
};

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
