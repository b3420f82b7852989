// Owns the cases that every backend's op tests share: shapes, weight types, kinds of data, and the
// walk over the instruction sets of this machine.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/dtype.h"
#include "kernels/isa.h"
#include "kernels/packed_matrix.h"

namespace cases {

using kernels::Dtype;

inline constexpr Dtype kDtypes[] = {Dtype::f32,  Dtype::f16,  Dtype::bf16, Dtype::q8_0,
                                    Dtype::q4_0, Dtype::q4_1, Dtype::q5_0, Dtype::q5_1,
                                    Dtype::q4_k, Dtype::q5_k, Dtype::q6_k};

// n_in is rounded up to whole blocks of the type under test. Sizes on both sides of a panel (64
// outputs), of a decoded chunk (256 of k) and of a register tile.
struct MatmulShape {
  int64_t n_out, n_in;
};
inline constexpr MatmulShape kMatmulShapes[] = {
    {1, 1}, {3, 32}, {63, 40}, {64, 256}, {65, 257}, {130, 576}, {200, 96}, {48, 1000}, {257, 300}};
inline constexpr int64_t kRows[] = {1, 2, 3, 4, 5, 7, 16, 33, 130};

// plain: about unit size. outliers: one in 50 is 1e4 times larger. ties: a few small integers.
// denormal: products below the smallest normal number.
enum class Data { plain, outliers, ties, denormal };
inline constexpr Data kData[] = {Data::plain, Data::outliers, Data::ties, Data::denormal};

inline std::vector<float> activations(int64_t n, Data data, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> x;
  for (int64_t i = 0; i < n; ++i) {
    const float unit = static_cast<float>(random() % 20001) / 10000.0f - 1.0f;
    switch (data) {
      case Data::plain:
        x.push_back(unit);
        break;
      case Data::outliers:
        x.push_back(random() % 50 ? unit : unit * 1e4f);
        break;
      case Data::ties:
        x.push_back(std::round(unit * 2));
        break;
      case Data::denormal:
        x.push_back(unit * 1e-38f);
        break;
    }
  }
  return x;
}

inline void put_half(uint8_t* at, uint32_t half) {
  at[0] = static_cast<uint8_t>(half & 255);
  at[1] = static_cast<uint8_t>(half >> 8);
}

// One stored row: random bytes, every scale finite (sizes 2^-7 to 2^-3, one in 16 subnormal).
inline std::vector<uint8_t> stored_row(Dtype type, int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> row(static_cast<size_t>(kernels::row_bytes(type, n)));
  for (uint8_t& b : row) b = static_cast<uint8_t>(random() & 255);
  const auto scale = [&random] {
    const uint32_t exponent = random() % 16 ? 8 + random() % 4 : 0;
    return (random() & 0x83ff) | exponent << 10;
  };
  const int64_t bytes = kernels::block_bytes(type);
  for (size_t at = 0; at < row.size(); at += static_cast<size_t>(bytes)) {
    uint8_t* block = row.data() + at;
    switch (type) {
      case Dtype::f32: {
        const float v = static_cast<float>(random() % 20001) / 1e5f - 0.1f;
        std::memcpy(block, &v, 4);
        break;
      }
      case Dtype::bf16:
        put_half(block, (random() & 0x80ff) | 0x3d00);
        break;
      case Dtype::q6_k:
        put_half(block + 208, scale());
        break;
      case Dtype::q4_1:
      case Dtype::q5_1:
      case Dtype::q4_k:
      case Dtype::q5_k:
        put_half(block + 2, scale());
        [[fallthrough]];
      default:
        put_half(block, scale());
        break;
    }
  }
  return row;
}

inline int64_t whole_blocks(Dtype type, int64_t n) {
  const int64_t e = kernels::block_elements(type);
  return (n + e - 1) / e * e;
}

// A matrix and its dequantised values [n_out, n_in].
struct Weights {
  kernels::PackedMatrix packed;
  std::vector<float> values;
};

inline Weights weights(Dtype type, int64_t n_out, int64_t n_in, uint32_t seed,
                       kernels::ThreadPool& pool) {
  const auto row = [&](int64_t r) {
    return stored_row(type, n_in, seed + static_cast<uint32_t>(r));
  };
  Weights w;
  w.packed = kernels::PackedMatrix::pack(
      type, n_out, n_in,
      [&](int64_t r, void* dst) {
        const std::vector<uint8_t> stored = row(r);
        std::memcpy(dst, stored.data(), stored.size());
      },
      pool);
  w.values.resize(static_cast<size_t>(n_out * n_in));
  for (int64_t r = 0; r < n_out; ++r) {
    kernels::dequantise_row(type, row(r).data(), w.values.data() + r * n_in, n_in);
  }
  return w;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Runs body once under each instruction set that this machine has.
template <class Body>
void for_each_isa(const Body& body) {
  for (std::string_view name : kernels::available_isas()) {
    SCOPED_TRACE(std::string(name));
    ASSERT_TRUE(kernels::force_isa(name));
    body();
    kernels::force_isa("");
  }
}

}  // namespace cases
