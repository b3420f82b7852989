#include "kernels/packed_matrix.h"

#include <algorithm>
#include <cassert>
#include <new>
#include <vector>

namespace kernels {

void PackedMatrix::Free::operator()(std::byte* p) const {
  ::operator delete[](p, std::align_val_t{64});
}

PackedMatrix PackedMatrix::pack(Dtype dtype, int64_t n_out, int64_t n_in, const RowReader& read,
                                ThreadPool& pool) {
  assert(n_out >= 0 && n_in >= 0 && n_in % block_elements(dtype) == 0);
  PackedMatrix w;
  w.dtype_ = dtype;
  w.n_out_ = n_out;
  w.n_in_ = n_in;
  w.panel_bytes_ = kPanelRows * row_bytes(dtype, n_in);
  w.bytes_ = static_cast<uint64_t>(w.n_panels() * w.panel_bytes_);
  w.data_.reset(new (std::align_val_t{64}) std::byte[w.bytes_ ? w.bytes_ : 1]);
  pool.parallel_for(w.n_panels(), [&](int64_t p, int) {
    std::byte* panel = w.data_.get() + p * w.panel_bytes_;
    std::fill_n(panel, w.panel_bytes_, std::byte{0});
    std::vector<uint8_t> row(static_cast<size_t>(row_bytes(dtype, n_in)));
    const int64_t rows = std::min(kPanelRows, n_out - p * kPanelRows);
    for (int64_t lane = 0; lane < rows; ++lane) {
      read(p * kPanelRows + lane, row.data());
      pack_blocks(dtype, row.data(), n_in / block_elements(dtype), lane, panel);
    }
  });
  return w;
}

void PackedMatrix::row(int64_t i, float* dst) const {
  assert(i >= 0 && i < n_out_);
  constexpr int64_t kChunk = 256;  // elements, a whole number of blocks of any type
  uint8_t stored[kChunk * sizeof(float)];
  const std::byte* from = panel(i / kPanelRows);
  for (int64_t k = 0; k < n_in_; k += kChunk) {
    const int64_t n = std::min(kChunk, n_in_ - k);
    unpack_blocks(dtype_, from + kPanelRows * row_bytes(dtype_, k), n / block_elements(dtype_),
                  i % kPanelRows, stored);
    dequantise_row(dtype_, stored, dst + k, n);
  }
}

}  // namespace kernels
