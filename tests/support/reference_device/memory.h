// Owns the reference device's memory: what is allocated, how much may be, and the check that an
// op's argument lies in it, which a GPU would answer with a fault.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>

namespace reference_device {

class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Memory {
 public:
  // Of MOEVAL_REFERENCE_DEVICE_BYTES bytes, or 1 GiB. What is still allocated at the end stays so,
  // as on a GPU: LeakSanitizer tells.
  Memory();

  // Filled with 0xFF bytes, NaN in every type, so that what nobody wrote shows. 0 bytes: null.
  void* allocate(uint64_t bytes);
  void release(void*);  // null, or what allocate() returned; anything else ends the program

  uint64_t total() const { return total_; }
  uint64_t free() const { return total_ - used_; }

  // All of it in one allocation.
  bool holds(const void*, uint64_t bytes) const;

  // p as an array of n values of T. Throws DeviceError unless it is device memory, aligned for T.
  template <class T>
  const T* array(const void* p, int64_t n, const char* what) const {
    require(p, n, sizeof(T), alignof(T), what);
    return static_cast<const T*>(p);
  }
  template <class T>
  T* array(void* p, int64_t n, const char* what) const {
    require(p, n, sizeof(T), alignof(T), what);
    return static_cast<T*>(p);
  }

 private:
  void require(const void*, int64_t n, uint64_t size, uint64_t alignment, const char* what) const;

  uint64_t total_ = 0, used_ = 0;
  std::map<uintptr_t, uint64_t> allocations_;  // address to bytes
};

}  // namespace reference_device
