// Owns what checks and timings of the products over experts share: buffers, dispatches, and the
// ways to run the products.
#pragma once

#include <algorithm>
#include <functional>
#include <thread>
#include <vector>

#include "kernels/cuda/experts.cuh"
#include "kernels/cuda/grouped_blas.cuh"
#include "kernels/cuda/grouped_tensor.cuh"
#include "kernels/cuda/skinny.cuh"

namespace moeval_cuda {

// Uniform in -1..1, by number: any thread may make any part.
__host__ __device__ inline float noise(uint64_t seed, uint64_t i) {
  uint64_t z = seed + i * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  return static_cast<float>(static_cast<int32_t>(z >> 40) - (1 << 23)) * (1.0f / (1 << 23));
}

inline void parallel(int64_t n, const std::function<void(int64_t)>& f) {
  const int64_t threads = std::clamp<int64_t>(std::thread::hardware_concurrency(), 1, 16);
  std::vector<std::thread> all;
  for (int64_t t = 0; t < threads; ++t) {
    all.emplace_back([=, &f] {
      for (int64_t i = n * t / threads; i < n * (t + 1) / threads; ++i) f(i);
    });
  }
  for (std::thread& t : all) t.join();
}

class Buffer {
 public:
  explicit Buffer(size_t bytes) {
    check(cudaMalloc(&p_, std::max<size_t>(bytes, 16)), "cudaMalloc");
  }
  template <class T>
  explicit Buffer(const std::vector<T>& v) : Buffer(v.size() * sizeof(T)) {
    check(cudaMemcpy(p_, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice), "upload");
    check(cudaStreamSynchronize(nullptr), "upload");  // the device's stream does not wait for it
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { cudaFree(p_); }
  template <class T = void>
  T* as() const {
    return static_cast<T*>(p_);
  }

 private:
  void* p_ = nullptr;
};

struct Plan {
  int64_t m = 0;
  std::vector<int32_t> counts, offsets, active, source, slot;
};

// rows_of: rows of x by expert.
inline Plan plan_of(const std::vector<std::vector<int32_t>>& rows_of, int64_t m) {
  Plan p{m, {}, {0}, {}, {}, std::vector<int32_t>(m * kDeviceMaxChosen, -1)};
  std::vector<int> chosen(m);
  for (size_t e = 0; e < rows_of.size(); ++e) {
    for (int32_t r : rows_of[e]) {
      if (chosen[r] < kDeviceMaxChosen) {
        p.slot[r * kDeviceMaxChosen + chosen[r]++] = static_cast<int32_t>(p.source.size());
      }
      p.source.push_back(r);
    }
    p.counts.push_back(static_cast<int32_t>(rows_of[e].size()));
    p.offsets.push_back(static_cast<int32_t>(p.source.size()));
    if (!rows_of[e].empty()) p.active.push_back(static_cast<int32_t>(e));
  }
  p.active.resize(rows_of.size(), -1);
  return p;
}

struct OnDevice {
  explicit OnDevice(const Plan& p)
      : counts(p.counts), offsets(p.offsets), active(p.active), source(p.source), slot(p.slot) {
    dispatch = {static_cast<int32_t>(p.counts.size()),
                counts.as<int32_t>(),
                offsets.as<int32_t>(),
                active.as<int32_t>(),
                source.as<int32_t>(),
                slot.as<int32_t>()};
  }
  Buffer counts, offsets, active, source, slot;
  MoevalDispatch dispatch{};
};

// The newest last, so that the others have answered should it hang.
enum Way { kPlain, kSkinny, kLooped, kGrouped, kTensor128, kTensor64, kAuto, kWays };
inline const char* const kWayNames[] = {"plain",     "skinny",   "looped", "grouped",
                                        "tensor128", "tensor64", "auto"};

inline bool takes(const MoevalDevice& device, const MoevalExperts& e, int way) {
  if (way == kSkinny) return skinny_takes(e.type, e.d) && skinny_takes(e.type, e.width);
  if (way == kTensor128 || way == kTensor64) return tensor_takes(device, e);
  return true;
}
inline bool gathers(int way) { return way >= kLooped && way <= kTensor64; }

// The products alone, rows gathered before where the way wants it.
inline void products(MoevalDevice& device, MoevalExperts e, const MoevalDispatch& dispatch,
                     int way) {
  if (way == kTensor128 || way == kTensor64) {
    return experts_tensor(device, e, dispatch, way == kTensor64 ? 64 : 128);
  }
  if (way == kGrouped || way == kLooped) return experts_blas(device, e, dispatch, way == kGrouped);
  e.path = way == kPlain ? kDevicePathPlain : way == kSkinny ? kDevicePathSkinny : kDevicePathAuto;
  run_experts(device, e, dispatch);
}

}  // namespace moeval_cuda
