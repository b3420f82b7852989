// Owns PackedMatrix: a weight matrix in its stored type, its rows interleaved in panels so that one
// vector lane is one output. The packed form replaces the original; nothing keeps both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "kernels/dtype.h"
#include "kernels/packed_layout.h"
#include "kernels/thread_pool.h"

namespace kernels {

// W [n_out, n_in]. Immutable after pack(); may be read from many threads.
class PackedMatrix {
 public:
  // Writes the row_bytes(dtype, n_in) stored bytes of `row` to dst. Called once per row, possibly
  // from several threads.
  using RowReader = std::function<void(int64_t row, void* dst)>;

  PackedMatrix() = default;
  // Requires n_in % block_elements(dtype) == 0.
  static PackedMatrix pack(Dtype, int64_t n_out, int64_t n_in, const RowReader&, ThreadPool&);

  Dtype dtype() const { return dtype_; }
  int64_t n_out() const { return n_out_; }
  int64_t n_in() const { return n_in_; }
  bool empty() const { return n_out_ == 0; }
  uint64_t bytes() const { return bytes_; }  // memory held, padding of the last panel included
  // Panel i holds rows i*kPanelRows.., laid out as packed_layout.h says; rows past n_out are zero.
  const std::byte* panel(int64_t i) const { return data_.get() + i * panel_bytes_; }
  int64_t n_panels() const { return (n_out_ + kPanelRows - 1) / kPanelRows; }

  // Dequantised row i to dst [n_in]: bitwise what dequantise_row gives for the original row.
  void row(int64_t i, float* dst) const;

 private:
  struct Free {
    void operator()(std::byte*) const;
  };
  Dtype dtype_ = Dtype::f32;
  int64_t n_out_ = 0, n_in_ = 0, panel_bytes_ = 0;
  uint64_t bytes_ = 0;
  std::unique_ptr<std::byte[], Free> data_;
};

}  // namespace kernels
