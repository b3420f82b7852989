#include "engine/device/device_kv_store.h"

#include <fmt/format.h>

#include <algorithm>

namespace engine {
namespace {

constexpr uint64_t kSlabBytes = uint64_t{256} << 20;

uint64_t element_bytes(int32_t type) { return type == kDeviceF32 ? 4 : 2; }

}  // namespace

uint64_t DeviceKvStore::block_bytes_of(const MoevalHeads& h, int32_t n_layers) {
  return static_cast<uint64_t>(n_layers) * 2 * static_cast<uint64_t>(h.n_kv_heads) *
         kDeviceKvBlock * static_cast<uint64_t>(h.d_head) * element_bytes(h.type);
}

DeviceKvStore::DeviceKvStore(std::shared_ptr<const kernels::Device> device,
                             const MoevalHeads& heads, int32_t n_layers, uint64_t limit_bytes)
    : device_(std::move(device)),
      heads_(heads),
      block_bytes_(block_bytes_of(heads, n_layers)),
      most_blocks_(limit_bytes / block_bytes_) {}

void* DeviceKvStore::make_block() {
  if (made_ == most_blocks_) {
    throw kernels::DeviceError(fmt::format(
        "cuda:{}: keys and values fill the {} blocks of {} positions that fit beside the model; "
        "fewer --streams or a smaller --batch-rows need fewer",
        device_->index(), most_blocks_, int{kDeviceKvBlock}));
  }
  if (made_ == room_) {
    const uint64_t n =
        std::min(std::max<uint64_t>(1, kSlabBytes / block_bytes_), most_blocks_ - made_);
    slabs_.emplace_back(device_, n * block_bytes_, "keys and values");
    room_ += n;
  }
  // Slabs may differ in size only at the end, so the newest holds the next block.
  const uint64_t in_slab = slabs_.back().bytes() / block_bytes_ - (room_ - made_);
  ++made_;
  return slabs_.back().as<std::byte>(in_slab * block_bytes_);
}

void DeviceKvStore::zero(void* block) { device_->run(device_->ops().zero, block, block_bytes_); }

// The first n positions of every head are contiguous, of layer after layer, keys and values.
void DeviceKvStore::copy_positions(const void* src, void* dst, int64_t n) {
  const uint64_t row = static_cast<uint64_t>(heads_.d_head) * element_bytes(heads_.type);
  const uint64_t pitch = kDeviceKvBlock * row;
  device_->run(device_->ops().copy_2d, dst, src, pitch, static_cast<uint64_t>(n) * row,
               block_bytes_ / pitch);
}

}  // namespace engine
