// Owns the memory of keys and values: blocks of kernels::kKvBlock positions that hold all layers,
// shared by reference between sequences that have the same first tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "kernels/attention.h"

namespace engine {

// A block is n_layers times the layout of kernels/attention.h, layers first to last.
class KvPool : public std::enable_shared_from_this<KvPool> {
 public:
  static std::shared_ptr<KvPool> make(const kernels::AttentionShape&, int32_t n_layers);

  // A zeroed block. It comes back to the pool when its last owner lets go, on any thread; the pool
  // lives as long as its blocks.
  std::shared_ptr<float> acquire();

  const kernels::AttentionShape& shape() const { return shape_; }
  int32_t n_layers() const { return n_layers_; }
  uint64_t block_bytes() const { return sizeof(float) * n_layers_ * shape_.kv_block_floats(); }
  uint64_t held_bytes() const;    // memory taken from the system
  int64_t blocks_in_use() const;  // held by sequences

 private:
  struct Free {
    void operator()(float*) const;
  };
  using Memory = std::unique_ptr<float, Free>;

  KvPool(const kernels::AttentionShape&, int32_t n_layers);
  void release(float*);

  const kernels::AttentionShape shape_;
  const int32_t n_layers_;
  mutable std::mutex mutex_;
  std::vector<Memory> free_;
  int64_t made_ = 0;
};

// Keys and values of one sequence: positions 0..size()-1 are stored or are being stored in the
// current step. Full blocks may be shared; the last, partial one is always its own.
class KvSequence {
 public:
  explicit KvSequence(std::shared_ptr<KvPool> pool) : pool_(std::move(pool)) {}
  KvSequence(KvSequence&&) = default;
  KvSequence& operator=(KvSequence&&) = default;

  int64_t size() const { return size_; }
  // Makes room up to n positions.
  void grow(int64_t n);
  // A sequence with the same first n positions; n <= size(). Full blocks are shared, the rest is
  // copied.
  KvSequence fork(int64_t n) const;
  // Base address of each block, layer 0.
  std::span<float* const> blocks() const { return bases_; }

 private:
  std::shared_ptr<KvPool> pool_;
  std::vector<std::shared_ptr<float>> owners_;
  std::vector<float*> bases_;
  int64_t size_ = 0;
};

}  // namespace engine
