#include "kernels/device.h"

#include <fmt/format.h>

namespace kernels {

std::shared_ptr<Device> Device::open(std::shared_ptr<const DeviceModule> module, int index) {
  const int n = module->count();
  if (index < 0 || index >= n) {
    throw DeviceError(n == 0 ? std::string("the driver reports no GPU")
                             : fmt::format("there is no cuda:{}: the driver reports {} GPU{}",
                                           index, n, n == 1 ? "" : "s"));
  }
  MoevalDevice* handle = nullptr;
  if (module->table().open(index, &handle) != 0) {
    throw DeviceError(fmt::format("cuda:{}: {}", index, module->table().last_error()));
  }
  return std::shared_ptr<Device>(new Device(std::move(module), index, handle));
}

Device::~Device() { ops().close(handle_); }

void Device::fail() const {
  throw DeviceError(fmt::format("cuda:{}: {}", index_, ops().last_error()));
}

MoevalDeviceInfo Device::info() const {
  MoevalDeviceInfo info;
  run(ops().info, &info);
  return info;
}

DeviceBuffer::DeviceBuffer(std::shared_ptr<const Device> device, uint64_t bytes, const char* what,
                           Place place)
    : device_(std::move(device)), place_(place), bytes_(bytes) {
  if (bytes == 0) return;
  const auto& ops = device_->ops();
  const auto allocate = place == Place::device ? ops.allocate : ops.allocate_host;
  if (allocate(device_->handle(), bytes, &data_) != 0) {
    throw DeviceError(fmt::format("cuda:{}: {} bytes for {}: {}", device_->index(), bytes, what,
                                  ops.last_error()));
  }
}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& o) noexcept {
  if (this == &o) return *this;
  reset();
  device_ = std::move(o.device_);
  place_ = o.place_;
  bytes_ = std::exchange(o.bytes_, 0);
  data_ = std::exchange(o.data_, nullptr);
  return *this;
}

void DeviceBuffer::reset() {
  if (!data_) return;
  const auto& ops = device_->ops();
  (place_ == Place::device ? ops.release : ops.release_host)(device_->handle(), data_);
  data_ = nullptr;
}

}  // namespace kernels
