// Owns the element types that weights are stored in, and their block geometry.
#pragma once

#include <cstdint>
#include <string_view>

namespace kernels {

// Weight types, named as in GGUF. f32/f16/bf16 have blocks of one element.
enum class Dtype : uint8_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k };

int64_t block_elements(Dtype);  // 1, 32 or 256
int64_t block_bytes(Dtype);     // bytes of one block
std::string_view dtype_name(Dtype);

// Bytes of one row of n elements; n must be a multiple of block_elements.
int64_t row_bytes(Dtype, int64_t n);

// Expands one stored row (little-endian GGUF blocks) to n floats. Portable scalar code: the
// definition of each format that every fast path is held against.
// Source: ggml block formats (ggml-common.h); value = d*q or d*q + m per block.
void dequantise_row(Dtype, const void* src, float* dst, int64_t n);

}  // namespace kernels
