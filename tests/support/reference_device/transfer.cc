// Owns the moves of bytes between host and device and within the device.
#include <cstring>

#include "tests/support/reference_device/ops.h"

namespace reference_device {
namespace {

void require_host(const MoevalDevice& device, const void* host, uint64_t bytes, const char* what) {
  if (bytes > 0 && device.memory.holds(host, 1)) {
    throw DeviceError(std::string(what) + ": the host's side is device memory");
  }
}

}  // namespace

void upload(MoevalDevice& device, void* dst, const void* host, uint64_t bytes) {
  auto* to = device.memory.array<char>(dst, static_cast<int64_t>(bytes), "upload: dst");
  require_host(device, host, bytes, "upload");
  if (bytes > 0) std::memcpy(to, host, bytes);
}

void download(MoevalDevice& device, void* host, const void* src, uint64_t bytes) {
  const auto* from = device.memory.array<char>(src, static_cast<int64_t>(bytes), "download: src");
  require_host(device, host, bytes, "download");
  if (bytes > 0) std::memcpy(host, from, bytes);
}

void zero(MoevalDevice& device, void* dst, uint64_t bytes) {
  auto* to = device.memory.array<char>(dst, static_cast<int64_t>(bytes), "zero: dst");
  if (bytes > 0) std::memset(to, 0, bytes);
}

void copy_2d(MoevalDevice& device, void* dst, const void* src, uint64_t pitch, uint64_t width,
             uint64_t height) {
  if (width > pitch) throw DeviceError("copy_2d: the width exceeds the pitch");
  if (width == 0 || height == 0) return;
  const auto extent = static_cast<int64_t>(pitch * (height - 1) + width);
  auto* to = device.memory.array<char>(dst, extent, "copy_2d: dst");
  const auto* from = device.memory.array<char>(src, extent, "copy_2d: src");
  for (uint64_t i = 0; i < height; ++i) std::memmove(to + i * pitch, from + i * pitch, width);
}

}  // namespace reference_device
