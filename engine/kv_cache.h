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

// Where blocks lie. A block holds all layers, first to last, each as its backend lays it out; only
// the backend looks inside.
class KvStore {
 public:
  virtual ~KvStore() = default;
  virtual uint64_t block_bytes() const = 0;
  // A new block, not initialised; it lives as long as the store. Throws when there is no room.
  virtual void* make_block() = 0;
  virtual void zero(void* block) = 0;
  // The first n positions of a block, n < kKvBlock.
  virtual void copy_positions(const void* src, void* dst, int64_t n) = 0;
};

class KvPool : public std::enable_shared_from_this<KvPool> {
 public:
  static std::shared_ptr<KvPool> make(std::unique_ptr<KvStore>);
  // In the memory of the CPU: a block is n_layers times the layout of kernels/attention.h.
  static std::shared_ptr<KvPool> make(const kernels::AttentionShape&, int32_t n_layers);

  // A zeroed block. It comes back to the pool when its last owner lets go, on any thread; the pool
  // lives as long as its blocks. Called, like fork() below, by the engine's thread only.
  std::shared_ptr<void> acquire();
  void copy_positions(const void* src, void* dst, int64_t n) {
    store_->copy_positions(src, dst, n);
  }

  uint64_t block_bytes() const { return store_->block_bytes(); }
  uint64_t held_bytes() const;    // memory taken from the system
  int64_t blocks_in_use() const;  // held by sequences

 private:
  explicit KvPool(std::unique_ptr<KvStore> store) : store_(std::move(store)) {}
  void release(void*);

  const std::unique_ptr<KvStore> store_;
  mutable std::mutex mutex_;
  std::vector<void*> free_;
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
  std::span<void* const> blocks() const { return bases_; }

 private:
  std::shared_ptr<KvPool> pool_;
  std::vector<std::shared_ptr<void>> owners_;
  std::vector<void*> bases_;
  int64_t size_ = 0;
};

}  // namespace engine
