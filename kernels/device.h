// Owns an open GPU and its memory, as the engine uses them: errors are exceptions, memory is freed
// by its owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "kernels/device_module.h"

namespace kernels {

// One GPU with one stream. Used by the thread that opened it: CUDA's current device is a thread's.
class Device {
 public:
  // Throws DeviceError: no such GPU, or it is too old.
  static std::shared_ptr<Device> open(std::shared_ptr<const DeviceModule>, int index);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const MoevalDeviceTable& ops() const { return module_->table(); }
  MoevalDeviceInfo info() const;
  int index() const { return index_; }

  // Calls an op of the table: run(ops().embed, type, ...). Throws DeviceError.
  template <class... P, class... A>
  void run(int (*op)(MoevalDevice*, P...), A... args) const {
    if (op(handle_, args...) != 0) fail();
  }
  void synchronize() const { run(ops().synchronize); }
  MoevalDevice* handle() const { return handle_; }

 private:
  Device(std::shared_ptr<const DeviceModule> module, int index, MoevalDevice* handle)
      : module_(std::move(module)), index_(index), handle_(handle) {}
  [[noreturn]] void fail() const;

  const std::shared_ptr<const DeviceModule> module_;
  const int index_;
  MoevalDevice* const handle_;
};

// Memory of a device, or pinned memory of the host; not initialised.
class DeviceBuffer {
 public:
  enum class Place { device, pinned };

  DeviceBuffer() = default;
  // Throws DeviceError naming `what` and its size.
  DeviceBuffer(std::shared_ptr<const Device>, uint64_t bytes, const char* what,
               Place = Place::device);
  ~DeviceBuffer() { reset(); }
  DeviceBuffer(DeviceBuffer&& o) noexcept { *this = std::move(o); }
  DeviceBuffer& operator=(DeviceBuffer&&) noexcept;

  uint64_t bytes() const { return bytes_; }
  bool empty() const { return data_ == nullptr; }
  void* data() const { return data_; }
  template <class T>
  T* as(uint64_t byte_offset = 0) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(data_) + byte_offset);
  }

 private:
  void reset();

  std::shared_ptr<const Device> device_;
  Place place_ = Place::device;
  uint64_t bytes_ = 0;
  void* data_ = nullptr;
};

}  // namespace kernels
