#include "kernels/packed_matrix.h"

#include <algorithm>
#include <cassert>
#include <new>

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
    std::byte* out = w.data_.get() + p * w.panel_bytes_;
    std::fill_n(out, w.panel_bytes_, std::byte{0});
    const int64_t rows = std::min(kPanelRows, n_out - p * kPanelRows);
    for (int64_t r = 0; r < rows; ++r) read(p * kPanelRows + r, out + r * row_bytes(dtype, n_in));
  });
  return w;
}

void PackedMatrix::row(int64_t i, float* dst) const {
  assert(i >= 0 && i < n_out_);
  dequantise_row(dtype_, panel(i / kPanelRows) + i % kPanelRows * row_bytes(dtype_, n_in_), dst,
                 n_in_);
}

}  // namespace kernels
