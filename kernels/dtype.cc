#include "kernels/dtype.h"

#include <bit>
#include <cassert>
#include <cstring>

#include "kernels/half.h"

namespace kernels {
namespace {

struct Geometry {
  const char* name;
  int64_t elements, bytes;
};

constexpr Geometry kGeometry[] = {
    {"f32", 1, 4},      {"f16", 1, 2},      {"bf16", 1, 2},     {"q8_0", 32, 34},
    {"q4_0", 32, 18},   {"q4_1", 32, 20},   {"q5_0", 32, 22},   {"q5_1", 32, 24},
    {"q4_k", 256, 144}, {"q5_k", 256, 176}, {"q6_k", 256, 210},
};

const Geometry& geometry(Dtype t) { return kGeometry[static_cast<int>(t)]; }

float half_at(const uint8_t* p) { return half_to_float(static_cast<uint16_t>(p[0] | p[1] << 8)); }

void q8_0_block(const uint8_t* b, float* y) {
  const float d = half_at(b);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(static_cast<int8_t>(b[2 + i]));
}

void q4_0_block(const uint8_t* b, float* y) {
  const float d = half_at(b);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>((b[2 + i] & 15) - 8);
    y[i + 16] = d * static_cast<float>((b[2 + i] >> 4) - 8);
  }
}

void q4_1_block(const uint8_t* b, float* y) {
  const float d = half_at(b), m = half_at(b + 2);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>(b[4 + i] & 15) + m;
    y[i + 16] = d * static_cast<float>(b[4 + i] >> 4) + m;
  }
}

uint32_t high_bits(const uint8_t* p) {
  return p[0] | static_cast<uint32_t>(p[1]) << 8 | static_cast<uint32_t>(p[2]) << 16 |
         static_cast<uint32_t>(p[3]) << 24;
}

int five_bits(uint8_t nibble, uint32_t qh, int bit) {
  return nibble | static_cast<int>((qh >> bit & 1) << 4);
}

void q5_0_block(const uint8_t* b, float* y) {
  const float d = half_at(b);
  const uint32_t qh = high_bits(b + 2);
  const uint8_t* q = b + 6;
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>(five_bits(q[i] & 15, qh, i) - 16);
    y[i + 16] = d * static_cast<float>(five_bits(q[i] >> 4, qh, i + 16) - 16);
  }
}

void q5_1_block(const uint8_t* b, float* y) {
  const float d = half_at(b), m = half_at(b + 2);
  const uint32_t qh = high_bits(b + 4);
  const uint8_t* q = b + 8;
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>(five_bits(q[i] & 15, qh, i)) + m;
    y[i + 16] = d * static_cast<float>(five_bits(q[i] >> 4, qh, i + 16)) + m;
  }
}

struct ScaleMin {
  int scale, min;
};

// The 8 six-bit scales and minima of a q4_k or q5_k super-block, packed in 12 bytes.
ScaleMin scale_min(const uint8_t* s, int j) {
  if (j < 4) return {s[j] & 63, s[j + 4] & 63};
  return {(s[j + 4] & 15) | (s[j - 4] >> 6) << 4, (s[j + 4] >> 4) | (s[j] >> 6) << 4};
}

void q45_k_block(const uint8_t* b, bool five, float* y) {
  const float d = half_at(b), dmin = half_at(b + 2);
  const uint8_t* high = b + 16;
  const uint8_t* q = five ? b + 48 : b + 16;
  for (int j = 0; j < 8; ++j) {  // groups of 32: even ones in the low nibbles, odd ones in the high
    const ScaleMin sm = scale_min(b + 4, j);
    const float scale = d * static_cast<float>(sm.scale), min = dmin * static_cast<float>(sm.min);
    for (int i = 0; i < 32; ++i) {
      const uint8_t byte = q[j / 2 * 32 + i];
      int v = j % 2 ? byte >> 4 : byte & 15;
      if (five) v |= (high[i] >> j & 1) << 4;
      y[j * 32 + i] = scale * static_cast<float>(v) - min;
    }
  }
}

void q6_k_block(const uint8_t* b, float* y) {
  const float d = half_at(b + 208);
  for (int half = 0; half < 2; ++half) {
    const uint8_t* low = b + half * 64;
    const uint8_t* high = b + 128 + half * 32;
    const uint8_t* scales = b + 192 + half * 8;
    for (int g = 0; g < 4; ++g) {
      for (int i = 0; i < 32; ++i) {
        const uint8_t byte = low[g % 2 * 32 + i];
        const int nibble = g < 2 ? byte & 15 : byte >> 4;
        const int q = (nibble | (high[i] >> 2 * g & 3) << 4) - 32;
        const float scale = d * static_cast<float>(static_cast<int8_t>(scales[g * 2 + i / 16]));
        y[half * 128 + g * 32 + i] = scale * static_cast<float>(q);
      }
    }
  }
}

void block(Dtype type, const uint8_t* b, float* y) {
  switch (type) {
    case Dtype::f32:
      std::memcpy(y, b, 4);
      return;
    case Dtype::f16:
      *y = half_at(b);
      return;
    case Dtype::bf16:
      *y = std::bit_cast<float>(static_cast<uint32_t>(b[0] | b[1] << 8) << 16);
      return;
    case Dtype::q8_0:
      return q8_0_block(b, y);
    case Dtype::q4_0:
      return q4_0_block(b, y);
    case Dtype::q4_1:
      return q4_1_block(b, y);
    case Dtype::q5_0:
      return q5_0_block(b, y);
    case Dtype::q5_1:
      return q5_1_block(b, y);
    case Dtype::q4_k:
      return q45_k_block(b, false, y);
    case Dtype::q5_k:
      return q45_k_block(b, true, y);
    case Dtype::q6_k:
      return q6_k_block(b, y);
  }
}

}  // namespace

int64_t block_elements(Dtype t) { return geometry(t).elements; }
int64_t block_bytes(Dtype t) { return geometry(t).bytes; }
std::string_view dtype_name(Dtype t) { return geometry(t).name; }

int64_t row_bytes(Dtype t, int64_t n) {
  assert(n >= 0 && n % block_elements(t) == 0);
  return n / block_elements(t) * block_bytes(t);
}

void dequantise_row(Dtype type, const void* src, float* dst, int64_t n) {
  assert(n % block_elements(type) == 0);
  const auto* b = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += block_elements(type), b += block_bytes(type)) {
    block(type, b, dst + i);
  }
}

}  // namespace kernels
