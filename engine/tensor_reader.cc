#include "engine/tensor_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "engine/model_file_error.h"
#include "kernels/dtype.h"

namespace engine {
namespace {

using kernels::Dtype;

bool finite16(const std::byte* p, uint16_t exponent_mask) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return (bits & exponent_mask) != exponent_mask;
}

constexpr uint16_t kHalfExponent = 0x7c00, kBfloatExponent = 0x7f80;

// Are the scales of a quantised row, or the elements of another one, finite? Offsets of the fp16
// scales in a block: ggml-common.h.
bool row_is_finite(Dtype dtype, const std::byte* row, int64_t n) {
  const int64_t blocks = n / kernels::block_elements(dtype), size = kernels::block_bytes(dtype);
  const auto all = [&](auto&& ok) {
    for (int64_t i = 0; i < blocks; ++i) {
      if (!ok(row + i * size)) return false;
    }
    return true;
  };
  switch (dtype) {
    case Dtype::f32:
      return all([](const std::byte* p) { return finite16(p + 2, kBfloatExponent); });
    case Dtype::bf16:
      return all([](const std::byte* p) { return finite16(p, kBfloatExponent); });
    case Dtype::f16:
    case Dtype::q8_0:
    case Dtype::q4_0:
    case Dtype::q5_0:
      return all([](const std::byte* p) { return finite16(p, kHalfExponent); });
    case Dtype::q4_1:
    case Dtype::q5_1:
    case Dtype::q4_k:
    case Dtype::q5_k:
      return all([](const std::byte* p) {
        return finite16(p, kHalfExponent) && finite16(p + 2, kHalfExponent);
      });
    case Dtype::q6_k:
      return all([&](const std::byte* p) { return finite16(p + size - 2, kHalfExponent); });
  }
  return false;
}

}  // namespace

TensorReader::TensorReader(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {
  for (const TensorInfo& t : checkpoint.tensors()) by_name_.emplace(t.name, &t);
}

const TensorInfo& TensorReader::require(const std::string& name,
                                        const std::vector<int64_t>& shape) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    throw ModelFileError(
        fmt::format("{}: tensor {} is missing", checkpoint_.path().string(), name));
  }
  const TensorInfo* info = found->second;
  if (info->shape != shape) {
    throw ModelFileError(fmt::format("{}: tensor {}: shape is [{}], want [{}]",
                                     checkpoint_.path().string(), info->stored_name,
                                     fmt::join(info->shape, ", "), fmt::join(shape, ", ")));
  }
  return *info;
}

const TensorInfo& TensorReader::matrix(const std::string& name, int64_t n_out, int64_t n_in) const {
  const TensorInfo& info = require(name, {n_out, n_in});
  if (n_in % kernels::block_elements(info.dtype) != 0) {
    throw ModelFileError(fmt::format("{}: tensor {}: rows of {} elements do not fill {} blocks",
                                     checkpoint_.path().string(), info.stored_name, n_in,
                                     kernels::dtype_name(info.dtype)));
  }
  return info;
}

void TensorReader::read_row(const TensorInfo& info, int64_t row, void* dst) const {
  checkpoint_.read_rows(info, row, 1, dst);
  if (!row_is_finite(info.dtype, static_cast<const std::byte*>(dst), info.shape.back())) {
    throw ModelFileError(fmt::format("{}: tensor {}: row {} holds a NaN or an infinity",
                                     checkpoint_.path().string(), info.stored_name,
                                     info.first_row + row));
  }
}

void TensorReader::read_row(const TensorInfo& info, int64_t row, std::vector<std::byte>& stored,
                            float* dst) const {
  const int64_t n = info.shape.back();
  stored.resize(static_cast<size_t>(kernels::row_bytes(info.dtype, n)));
  read_row(info, row, stored.data());
  kernels::dequantise_row(info.dtype, stored.data(), dst, n);
}

std::vector<float> TensorReader::vector(const std::string& name, int64_t n) const {
  return floats(name, -1, n);
}

std::vector<float> TensorReader::floats(const std::string& name, int64_t rows, int64_t n) const {
  // rows -1: a vector of n, which is one row.
  const TensorInfo& info = rows < 0 ? require(name, {n}) : require(name, {rows, n});
  if (n % kernels::block_elements(info.dtype) != 0) {
    throw ModelFileError(fmt::format("{}: tensor {}: {} elements do not fill {} blocks",
                                     checkpoint_.path().string(), info.stored_name, n,
                                     kernels::dtype_name(info.dtype)));
  }
  std::vector<std::byte> stored;
  std::vector<float> out(static_cast<size_t>((rows < 0 ? 1 : rows) * n));
  for (int64_t i = 0; i < (rows < 0 ? 1 : rows); ++i) {
    read_row(info, i, stored, out.data() + i * n);
  }
  return out;
}

}  // namespace engine
