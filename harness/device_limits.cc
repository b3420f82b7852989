#include "harness/device_limits.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "kernels/half.h"

namespace harness {
namespace {

constexpr int kRepeats = 5;
constexpr int64_t kLeastEdge = 64;
constexpr uint64_t kLeastCopy = 1024;
constexpr uint64_t kCopyRow = uint64_t{1} << 20;

int32_t table_type(engine::DeviceType t) {
  switch (t) {
    case engine::DeviceType::f32:
      return kDeviceF32;
    case engine::DeviceType::f16:
      return kDeviceF16;
    case engine::DeviceType::bf16:
      break;
  }
  return kDeviceBf16;
}

uint64_t element_bytes(int32_t type) { return type == kDeviceF32 ? 4 : 2; }

uint64_t matrix_bytes(int64_t edge, int32_t type) {
  return static_cast<uint64_t>(edge) * static_cast<uint64_t>(edge) * element_bytes(type);
}

// Uniform in [-1, 1): a GPU is slower on numbers than on zeros, for it draws more power.
std::vector<std::byte> random_matrix(int64_t edge, int32_t type, uint64_t seed) {
  std::vector<std::byte> out(matrix_bytes(edge, type));
  const uint64_t size = element_bytes(type);
  for (uint64_t at = 0; at < out.size(); at += size) {
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    const float value = static_cast<float>(static_cast<int32_t>(seed >> 32)) * 0x1p-31f;
    uint16_t narrow = 0;
    if (type == kDeviceF16) narrow = kernels::half_from_float(value);
    if (type == kDeviceBf16) narrow = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
    std::memcpy(out.data() + at, size == 4 ? static_cast<const void*>(&value) : &narrow, size);
  }
  return out;
}

kernels::DeviceBuffer uploaded(const std::shared_ptr<kernels::Device>& device,
                               const std::vector<std::byte>& host) {
  kernels::DeviceBuffer out(device, host.size(), "a matrix of the speed limit");
  device->run(device->ops().upload, out.data(), host.data(), uint64_t{host.size()});
  device->synchronize();
  return out;
}

}  // namespace

DeviceLimits::Sizes DeviceLimits::fitted(Sizes s, uint64_t free_bytes, engine::DeviceType type) {
  const uint64_t room = free_bytes / 8;
  while (s.edge > kLeastEdge && 3 * matrix_bytes(s.edge, table_type(type)) > room) s.edge /= 2;
  while (s.copy_bytes > kLeastCopy && 2 * s.copy_bytes > room) s.copy_bytes /= 2;
  return s;
}

DeviceLimits::DeviceLimits(const std::string& device, engine::DeviceType type)
    : device_(kernels::Device::open(kernels::DeviceModule::load(),
                                    std::stoi(device.substr(device.find(':') + 1)))),
      type_(table_type(type)),
      sizes_(fitted({}, device_->info().free_bytes, type)),
      x_(uploaded(device_, random_matrix(sizes_.edge, type_, 1))),
      w_(uploaded(device_, random_matrix(sizes_.edge, type_, 2))),
      y_(device_, matrix_bytes(sizes_.edge, type_), "the product of the speed limit"),
      from_(device_, sizes_.copy_bytes, "the copy of the speed limit"),
      to_(device_, sizes_.copy_bytes, "the copy of the speed limit") {
  device_->run(device_->ops().zero, from_.data(), from_.bytes());
  seconds_of_product();  // cuBLAS chooses, clocks rise
  seconds_of_copy();
}

double DeviceLimits::seconds_of_product() const {
  const auto& ops = device_->ops();
  const int64_t n = sizes_.edge;
  device_->run(ops.mark, 0);
  device_->run(ops.matmul, type_, x_.data(), n, w_.data(), n, n, nullptr, type_, 0, y_.data());
  device_->run(ops.mark, 1);
  float ms = 0;
  device_->run(ops.elapsed_ms, 0, 1, &ms);
  return static_cast<double>(ms) * 1e-3;
}

double DeviceLimits::seconds_of_copy() const {
  const auto& ops = device_->ops();
  device_->run(ops.mark, 0);
  const uint64_t row = std::min(sizes_.copy_bytes, kCopyRow);  // pitches have a limit
  device_->run(ops.copy_2d, to_.data(), from_.data(), row, row, sizes_.copy_bytes / row);
  device_->run(ops.mark, 1);
  float ms = 0;
  device_->run(ops.elapsed_ms, 0, 1, &ms);
  return static_cast<double>(ms) * 1e-3;
}

LimitRates DeviceLimits::measure() {
  double product = seconds_of_product(), copy = seconds_of_copy();
  for (int i = 1; i < kRepeats; ++i) {
    product = std::min(product, seconds_of_product());
    copy = std::min(copy, seconds_of_copy());
  }
  const auto n = static_cast<double>(sizes_.edge);
  return {2 * n * n * n / product, 2 * static_cast<double>(sizes_.copy_bytes) / copy};
}

}  // namespace harness
