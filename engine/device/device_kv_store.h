// Owns the memory of keys and values on a GPU.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/kv_cache.h"
#include "kernels/device.h"

namespace engine {

// Blocks as kernels/device_table.h lays them out. Memory is taken in slabs, up to a limit.
class DeviceKvStore final : public KvStore {
 public:
  // limit_bytes: of all blocks; those beyond it throw DeviceError.
  DeviceKvStore(std::shared_ptr<const kernels::Device>, const MoevalHeads&, int32_t n_layers,
                uint64_t limit_bytes);

  static uint64_t block_bytes_of(const MoevalHeads&, int32_t n_layers);
  uint64_t block_bytes() const override { return block_bytes_; }
  void* make_block() override;
  void zero(void* block) override;
  void copy_positions(const void* src, void* dst, int64_t n) override;

 private:
  const std::shared_ptr<const kernels::Device> device_;
  const MoevalHeads heads_;
  const uint64_t block_bytes_, most_blocks_;
  uint64_t made_ = 0, room_ = 0;  // blocks handed out; blocks that the slabs hold
  std::vector<kernels::DeviceBuffer> slabs_;
};

}  // namespace engine
