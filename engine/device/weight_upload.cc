#include "engine/device/weight_upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/model_file_error.h"
#include "kernels/half.h"

namespace engine {
namespace {

constexpr uint64_t kRoom = uint64_t{64} << 20;

uint16_t bfloat_from_float(float v) {  // to the nearest, ties to even; v is finite
  const auto bits = std::bit_cast<uint32_t>(v);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

bool same_type(kernels::Dtype stored, int32_t type) {
  return (stored == kernels::Dtype::f32 && type == kDeviceF32) ||
         (stored == kernels::Dtype::f16 && type == kDeviceF16) ||
         (stored == kernels::Dtype::bf16 && type == kDeviceBf16);
}

}  // namespace

WeightUpload::WeightUpload(const Checkpoint& checkpoint, int32_t type,
                           const kernels::DeviceBuffer& to,
                           std::shared_ptr<const kernels::Device> device, kernels::ThreadPool& pool)
    : reader_(checkpoint),
      type_(type),
      to_(to),
      device_(std::move(device)),
      pool_(pool),
      pinned_(device_, std::min(kRoom, to.bytes()), "the upload of weights",
              kernels::DeviceBuffer::Place::pinned) {}

std::byte* WeightUpload::room(uint64_t bytes) {
  if (used_ + bytes > pinned_.bytes()) {
    device_->synchronize();  // what was sent has arrived
    used_ = 0;
  }
  std::byte* at = pinned_.as<std::byte>(used_);
  used_ += bytes;
  return at;
}

void WeightUpload::send(const std::byte* from, uint64_t bytes, uint64_t at) {
  device_->run(device_->ops().upload, to_.as<std::byte>(at), from, bytes);
}

void WeightUpload::matrix(const std::string& name, int64_t n_out, int64_t n_in, uint64_t at) {
  const TensorInfo& info = reader_.matrix(name, n_out, n_in);
  const uint64_t row_bytes = static_cast<uint64_t>(n_in) * (type_ == kDeviceF32 ? 4 : 2);
  const auto chunk = static_cast<int64_t>(std::max<uint64_t>(1, kRoom / 4 / row_bytes));
  for (int64_t first = 0; first < n_out; first += chunk) {
    const int64_t rows = std::min(chunk, n_out - first);
    std::byte* to = room(static_cast<uint64_t>(rows) * row_bytes);
    const int64_t tasks = std::min<int64_t>(rows, 4 * pool_.size());
    pool_.parallel_for(tasks, [&](int64_t task, int) {
      std::vector<std::byte> stored;
      std::vector<float> values(static_cast<size_t>(n_in));
      for (int64_t r = rows * task / tasks; r < rows * (task + 1) / tasks; ++r) {
        std::byte* row = to + static_cast<uint64_t>(r) * row_bytes;
        if (same_type(info.dtype, type_)) {
          reader_.read_row(info, first + r, row);
          continue;
        }
        reader_.read_row(info, first + r, stored, values.data());
        if (type_ == kDeviceF32) {
          std::memcpy(row, values.data(), row_bytes);
          continue;
        }
        auto* half = reinterpret_cast<uint16_t*>(row);
        for (int64_t i = 0; i < n_in; ++i) {
          if (type_ == kDeviceF16 && std::fabs(values[i]) >= 65520.0f) {
            throw ModelFileError(fmt::format(
                "tensor {}: {} in row {} does not fit f16; --device-dtype bf16 holds it", name,
                values[i], first + r));
          }
          half[i] = type_ == kDeviceF16 ? kernels::half_from_float(values[i])
                                        : bfloat_from_float(values[i]);
        }
      }
    });
    send(to, static_cast<uint64_t>(rows) * row_bytes,
         at + static_cast<uint64_t>(first) * row_bytes);
  }
}

void WeightUpload::floats(const std::string& name, const std::vector<int64_t>& shape, uint64_t at) {
  const auto values =
      shape.size() == 1 ? reader_.vector(name, shape[0]) : reader_.floats(name, shape[0], shape[1]);
  const uint64_t bytes = values.size() * sizeof(float);
  for (uint64_t first = 0; first < bytes; first += kRoom) {
    const uint64_t part = std::min(kRoom, bytes - first);
    std::byte* to = room(part);
    std::memcpy(to, reinterpret_cast<const std::byte*>(values.data()) + first, part);
    send(to, part, at + first);
  }
}

void WeightUpload::finish() { device_->synchronize(); }

}  // namespace engine
