#include "tests/support/reference_device/memory.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace reference_device {
namespace {

constexpr uint64_t kDefaultBytes = uint64_t{1} << 30;
constexpr uint64_t kAlignment = 256;  // as cudaMalloc's

}  // namespace

Memory::Memory() : total_(kDefaultBytes) {
  if (const char* bytes = std::getenv("MOEVAL_REFERENCE_DEVICE_BYTES")) {
    total_ = std::strtoull(bytes, nullptr, 10);
  }
}

void* Memory::allocate(uint64_t bytes) {
  if (bytes == 0) return nullptr;
  if (bytes > free()) throw DeviceError("device memory: out of memory");
  void* p = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (!p) throw DeviceError("device memory: out of memory");
  std::memset(p, 0xFF, bytes);
  used_ += bytes;
  allocations_.emplace(reinterpret_cast<uintptr_t>(p), bytes);
  return p;
}

void Memory::release(void* p) {
  if (!p) return;
  const auto found = allocations_.find(reinterpret_cast<uintptr_t>(p));
  if (found == allocations_.end()) {
    std::fprintf(stderr, "reference device: %p is released, but is not allocated\n", p);
    std::abort();
  }
  used_ -= found->second;
  allocations_.erase(found);
  std::free(p);
}

bool Memory::holds(const void* p, uint64_t bytes) const {
  const auto address = reinterpret_cast<uintptr_t>(p);
  const auto next = allocations_.upper_bound(address);
  if (next == allocations_.begin()) return false;
  const auto& [begin, size] = *std::prev(next);
  return address - begin < size && bytes <= size - (address - begin);
}

void Memory::require(const void* p, int64_t n, uint64_t size, uint64_t alignment,
                     const char* what) const {
  if (n == 0) return;
  if (n < 0) throw DeviceError(std::string(what) + ": " + std::to_string(n) + " elements");
  const uint64_t bytes = static_cast<uint64_t>(n) * size;
  if (!holds(p, bytes)) {
    throw DeviceError(std::string(what) + ": " + std::to_string(bytes) +
                      " bytes are not all device memory");
  }
  if (reinterpret_cast<uintptr_t>(p) % alignment != 0) {
    throw DeviceError(std::string(what) + " is not aligned");
  }
}

}  // namespace reference_device
