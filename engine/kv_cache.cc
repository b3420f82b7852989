#include "engine/kv_cache.h"

#include <cassert>
#include <cstring>
#include <new>

namespace engine {
namespace {

constexpr std::align_val_t kAlignment{64};

// Copies positions [0, n) of a block, n < kKvBlock.
void copy_positions(const KvPool& pool, const float* src, float* dst, int64_t n) {
  const kernels::AttentionShape& s = pool.shape();
  const int64_t lanes = s.n_kv_heads * s.d_head;
  for (int32_t layer = 0; layer < pool.n_layers(); ++layer) {
    const float* from = src + layer * s.kv_block_floats();
    float* to = dst + layer * s.kv_block_floats();
    for (int64_t i = 0; i < lanes; ++i) {
      std::memcpy(to + i * kernels::kKvBlock, from + i * kernels::kKvBlock, n * sizeof(float));
    }
    const int64_t values = lanes * kernels::kKvBlock, head = s.d_head * kernels::kKvBlock;
    for (int64_t h = 0; h < s.n_kv_heads; ++h) {
      std::memcpy(to + values + h * head, from + values + h * head, n * s.d_head * sizeof(float));
    }
  }
}

}  // namespace

void KvPool::Free::operator()(float* p) const { ::operator delete(p, kAlignment); }

KvPool::KvPool(const kernels::AttentionShape& shape, int32_t n_layers)
    : shape_(shape), n_layers_(n_layers) {}

std::shared_ptr<KvPool> KvPool::make(const kernels::AttentionShape& shape, int32_t n_layers) {
  return std::shared_ptr<KvPool>(new KvPool(shape, n_layers));
}

std::shared_ptr<float> KvPool::acquire() {
  Memory memory;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      memory = std::move(free_.back());
      free_.pop_back();
    } else {
      free_.reserve(made_ + 1);  // release() must not fail
      memory = Memory(static_cast<float*>(::operator new(block_bytes(), kAlignment)));
      ++made_;
    }
  }
  // What a query that went wrong left behind (infinities) must not reach the next user.
  std::memset(memory.get(), 0, block_bytes());
  return std::shared_ptr<float>(memory.release(),
                                [pool = shared_from_this()](float* p) { pool->release(p); });
}

void KvPool::release(float* p) {
  const std::lock_guard lock(mutex_);
  free_.emplace_back(p);
}

uint64_t KvPool::held_bytes() const {
  const std::lock_guard lock(mutex_);
  return made_ * block_bytes();
}

int64_t KvPool::blocks_in_use() const {
  const std::lock_guard lock(mutex_);
  return made_ - static_cast<int64_t>(free_.size());
}

void KvSequence::grow(int64_t n) {
  while (static_cast<int64_t>(bases_.size()) * kernels::kKvBlock < n) {
    owners_.push_back(pool_->acquire());
    bases_.push_back(owners_.back().get());
  }
  if (n > size_) size_ = n;
}

KvSequence KvSequence::fork(int64_t n) const {
  assert(n <= size_);
  KvSequence child(pool_);
  const int64_t full = n / kernels::kKvBlock, rest = n % kernels::kKvBlock;
  child.owners_.assign(owners_.begin(), owners_.begin() + full);
  child.bases_.assign(bases_.begin(), bases_.begin() + full);
  child.grow(n);
  if (rest > 0) copy_positions(*pool_, bases_[full], child.bases_[full], rest);
  return child;
}

}  // namespace engine
