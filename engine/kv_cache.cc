#include "engine/kv_cache.h"

#include <cassert>
#include <cstring>
#include <new>

namespace engine {
namespace {

constexpr std::align_val_t kBlockAlignment{64};

class CpuKvStore final : public KvStore {
 public:
  CpuKvStore(const kernels::AttentionShape& shape, int32_t n_layers)
      : shape_(shape), n_layers_(n_layers) {}

  uint64_t block_bytes() const override {
    return sizeof(float) * n_layers_ * shape_.kv_block_floats();
  }
  void* make_block() override {
    blocks_.emplace_back(::operator new(block_bytes(), kBlockAlignment));
    return blocks_.back().get();
  }
  void zero(void* block) override { std::memset(block, 0, block_bytes()); }

  void copy_positions(const void* src, void* dst, int64_t n) override {
    const int64_t lanes = shape_.n_kv_heads * shape_.d_head;
    for (int32_t layer = 0; layer < n_layers_; ++layer) {
      const float* from = static_cast<const float*>(src) + layer * shape_.kv_block_floats();
      float* to = static_cast<float*>(dst) + layer * shape_.kv_block_floats();
      for (int64_t i = 0; i < lanes; ++i) {
        std::memcpy(to + i * kernels::kKvBlock, from + i * kernels::kKvBlock, n * sizeof(float));
      }
      const int64_t values = lanes * kernels::kKvBlock, head = shape_.d_head * kernels::kKvBlock;
      for (int64_t h = 0; h < shape_.n_kv_heads; ++h) {
        std::memcpy(to + values + h * head, from + values + h * head,
                    n * shape_.d_head * sizeof(float));
      }
    }
  }

 private:
  struct Free {
    void operator()(void* p) const { ::operator delete(p, kBlockAlignment); }
  };
  const kernels::AttentionShape shape_;
  const int32_t n_layers_;
  std::vector<std::unique_ptr<void, Free>> blocks_;
};

}  // namespace

std::shared_ptr<KvPool> KvPool::make(std::unique_ptr<KvStore> store) {
  return std::shared_ptr<KvPool>(new KvPool(std::move(store)));
}

std::shared_ptr<KvPool> KvPool::make(const kernels::AttentionShape& shape, int32_t n_layers) {
  return make(std::make_unique<CpuKvStore>(shape, n_layers));
}

std::shared_ptr<void> KvPool::acquire() {
  void* block = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      block = free_.back();
      free_.pop_back();
    } else {
      free_.reserve(made_ + 1);  // release() must not fail
      block = store_->make_block();
      ++made_;
    }
  }
  const auto give_back = [pool = shared_from_this()](void* p) { pool->release(p); };
  std::shared_ptr<void> owned(block, give_back);
  // What a query that went wrong left behind (infinities) must not reach the next user.
  store_->zero(block);
  return owned;
}

void KvPool::release(void* p) {
  const std::lock_guard lock(mutex_);
  free_.push_back(p);
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
  if (rest > 0) pool_->copy_positions(bases_[full], child.bases_[full], rest);
  return child;
}

}  // namespace engine
