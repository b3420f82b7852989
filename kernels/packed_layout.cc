#include "kernels/packed_layout.h"

#include <cassert>
#include <cstring>

namespace kernels {
namespace {

// dst's bits [bit, bit + width) = those of src at src_bit; neither range crosses a byte.
void copy_bits(uint8_t* dst, int64_t bit, const uint8_t* src, int64_t src_bit, int width) {
  const int mask = (1 << width) - 1;
  const int value = src[src_bit / 8] >> src_bit % 8 & mask;
  const int kept = dst[bit / 8] & ~(mask << bit % 8);
  dst[bit / 8] = static_cast<uint8_t>(kept | value << bit % 8);
}

// One list of moves, written for the way into the panel, serves both directions.
struct ToPanel {
  uint8_t* block;
  std::byte* panel;
  void bytes(int64_t in_block, int64_t in_panel, int64_t n) const {
    std::memcpy(panel + in_panel, block + in_block, static_cast<size_t>(n));
  }
  void bits(int64_t in_block, int64_t in_panel, int width) const {
    copy_bits(reinterpret_cast<uint8_t*>(panel), in_panel, block, in_block, width);
  }
};

struct ToBlock {
  uint8_t* block;
  std::byte* panel;
  void bytes(int64_t in_block, int64_t in_panel, int64_t n) const {
    std::memcpy(block + in_block, panel + in_panel, static_cast<size_t>(n));
  }
  void bits(int64_t in_block, int64_t in_panel, int width) const {
    copy_bits(block, in_block, reinterpret_cast<const uint8_t*>(panel), in_panel, width);
  }
};

// Stored: byte j holds k = j (low) and k = j + 16 (high). Packed: byte j of the 16 holds k = 2j and
// k = 2j + 1, spread over four u32 of 4 bytes, little-endian.
uint8_t nibble(const uint8_t* q, int k) { return k < 16 ? q[k] & 15 : q[k - 16] >> 4; }

std::byte* quant_byte(std::byte* quants, int64_t lane, int j) {
  return quants + (j / 4 * kPanelRows + lane) * 4 + j % 4;
}

void move_nibbles(const ToPanel& m, int64_t in_block, int64_t in_panel, int64_t lane) {
  const uint8_t* q = m.block + in_block;
  for (int j = 0; j < 16; ++j) {
    *quant_byte(m.panel + in_panel, lane, j) =
        static_cast<std::byte>(nibble(q, 2 * j) | nibble(q, 2 * j + 1) << 4);
  }
}

void move_nibbles(const ToBlock& m, int64_t in_block, int64_t in_panel, int64_t lane) {
  uint8_t* q = m.block + in_block;
  std::memset(q, 0, 16);
  for (int j = 0; j < 16; ++j) {
    const auto byte = static_cast<uint8_t>(*quant_byte(m.panel + in_panel, lane, j));
    for (int k = 2 * j; k <= 2 * j + 1; ++k) {
      const int value = k % 2 ? byte >> 4 : byte & 15;
      q[k % 16] = static_cast<uint8_t>(q[k % 16] | value << (k < 16 ? 0 : 4));
    }
  }
}

template <class Move>
void move_nibble_block(const Move& m, bool has_min, bool has_high, int64_t lane) {
  const NibbleLayout at = nibble_layout(has_min, has_high);
  int64_t in_block = 2;
  m.bytes(0, 2 * lane, 2);
  if (has_min) {
    m.bytes(2, at.min + 2 * lane, 2);
    in_block += 2;
  }
  if (has_high) {
    m.bytes(in_block, at.high + 4 * lane, 4);
    in_block += 4;
  }
  move_nibbles(m, in_block, at.quants, lane);
}

// Bit 0 of the field of element e in u32[64] words of `width` bits per element at `base`.
int64_t word_bit(int64_t base, int64_t lane, int e, int width) {
  const int per_word = 32 / width;
  return 8 * (base + (e / per_word * kPanelRows + lane) * 4) + e % per_word * width;
}

template <class Move>
void move_q45_k(const Move& m, bool five, int64_t lane) {
  m.bytes(0, 2 * lane, 2);
  m.bytes(2, kSuperMin + 2 * lane, 2);
  for (int i = 0; i < 12; ++i) m.bytes(4 + i, kQ45KLayout.scales + i * kPanelRows + lane, 1);
  const int quants = five ? 48 : 16;
  for (int e = 0; e < 256; ++e) {
    const int group = e / 32, i = e % 32;
    m.bits(8 * (quants + group / 2 * 32 + i) + group % 2 * 4, word_bit(kQ45KLayout.low, lane, e, 4),
           4);
    if (five) m.bits(8 * (16 + i) + group, word_bit(kQ45KLayout.high, lane, e, 1), 1);
  }
}

template <class Move>
void move_q6_k(const Move& m, int64_t lane) {
  m.bytes(208, 2 * lane, 2);
  for (int i = 0; i < 16; ++i) m.bytes(192 + i, kQ6KLayout.scales + i * kPanelRows + lane, 1);
  for (int e = 0; e < 256; ++e) {
    const int half = e / 128, group = e % 128 / 32, i = e % 32;
    m.bits(8 * (half * 64 + group % 2 * 32 + i) + group / 2 * 4,
           word_bit(kQ6KLayout.low, lane, e, 4), 4);
    m.bits(8 * (128 + half * 32 + i) + group * 2, word_bit(kQ6KLayout.high, lane, e, 2), 2);
  }
}

template <class Move>
void move_block(Dtype type, const Move& m, int64_t lane) {
  switch (type) {
    case Dtype::f32:
    case Dtype::f16:
    case Dtype::bf16:
      return;  // in move_blocks
    case Dtype::q8_0:
      m.bytes(0, 2 * lane, 2);
      for (int k = 0; k < 32; ++k) m.bytes(2 + k, (2 + k) * kPanelRows + lane, 1);
      return;
    case Dtype::q4_0:
      return move_nibble_block(m, false, false, lane);
    case Dtype::q4_1:
      return move_nibble_block(m, true, false, lane);
    case Dtype::q5_0:
      return move_nibble_block(m, false, true, lane);
    case Dtype::q4_k:
      return move_q45_k(m, false, lane);
    case Dtype::q5_k:
      return move_q45_k(m, true, lane);
    case Dtype::q6_k:
      return move_q6_k(m, lane);
    case Dtype::q5_1:
      return move_nibble_block(m, true, true, lane);
  }
}

// Blocks of one element, of a size that the compiler sees.
template <int kBytes, class Move>
void move_elements(const Move& m, int64_t n, int64_t lane) {
  for (int64_t i = 0; i < n; ++i) m.bytes(i * kBytes, (i * kPanelRows + lane) * kBytes, kBytes);
}

template <class Move>
void move_blocks(Dtype type, Move m, int64_t n, int64_t lane) {
  assert(lane >= 0 && lane < kPanelRows);
  if (type == Dtype::f32) return move_elements<4>(m, n, lane);
  if (block_elements(type) == 1) return move_elements<2>(m, n, lane);
  const int64_t bytes = block_bytes(type);
  for (int64_t b = 0; b < n; ++b, m.block += bytes, m.panel += kPanelRows * bytes) {
    move_block(type, m, lane);
  }
}

}  // namespace

void pack_blocks(Dtype type, const uint8_t* blocks, int64_t n_blocks, int64_t lane,
                 std::byte* panel) {
  move_blocks(type, ToPanel{const_cast<uint8_t*>(blocks), panel}, n_blocks, lane);
}

void unpack_blocks(Dtype type, const std::byte* panel, int64_t n_blocks, int64_t lane,
                   uint8_t* blocks) {
  move_blocks(type, ToBlock{blocks, const_cast<std::byte*>(panel)}, n_blocks, lane);
}

}  // namespace kernels
