// Owns what the checks and the timing of attention share: a step's rows on the device, and
// attention over them in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kernels/cuda/attention.cuh"

namespace attention_bench {

using namespace moeval_cuda;

inline bool g_failed = false;

inline void verdict(bool ok, const std::string& what, const char* figures) {
  std::printf("%s  %-44s %s\n", ok ? "PASS" : "FAIL", what.c_str(), figures);
  g_failed |= !ok;
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  uint64_t bits() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545f4914f6cdd1du;
  }
  int below(int n) { return static_cast<int>((bits() >> 33) % static_cast<uint64_t>(n)); }
  // Nearly normal, and one in 200 eight times as large.
  float value() {
    const uint64_t b = bits();
    float sum = -2.0f;
    for (int i = 0; i < 4; ++i) sum += static_cast<float>(b >> 16 * i & 0xffff) * 0x1p-16f;
    return sum * 1.7320508f * (b % 200 == 0 ? 8.0f : 1.0f);
  }

 private:
  uint64_t state_;
};

inline float to_host(float v) { return v; }
inline float to_host(__half v) { return __half2float(v); }
inline float to_host(bf16 v) { return __bfloat162float(v); }
inline void assign(float& to, float v) { to = v; }
inline void assign(__half& to, float v) { to = __float2half_rn(v); }
inline void assign(bf16& to, float v) { to = __float2bfloat16_rn(v); }
template <class T>
std::vector<T> converted(const std::vector<float>& from) {
  std::vector<T> to(from.size());
  for (size_t i = 0; i < from.size(); ++i) assign(to[i], from[i]);
  return to;
}
template <class T>
float rounded(float v) {
  T t;
  assign(t, v);
  return to_host(t);
}
template <class T>
const char* name_of() {
  return type_of<T>() == kDeviceF32 ? "f32" : type_of<T>() == kDeviceF16 ? "f16" : "bf16";
}
template <class T>
double limit_of() {
  return type_of<T>() == kDeviceF32 ? 1e-5 : type_of<T>() == kDeviceF16 ? 2e-3 : 1e-2;
}

template <class T>
class Buffer {
 public:
  explicit Buffer(size_t n, int byte = 0) : n_(n) {
    check(cudaMalloc(&at_, std::max<size_t>(n, 1) * sizeof(T)), "cudaMalloc");
    fill(byte);
  }
  explicit Buffer(const std::vector<T>& from) : Buffer(from.size()) {
    check(cudaMemcpy(at_, from.data(), n_ * sizeof(T), cudaMemcpyHostToDevice), "upload");
  }
  Buffer(const Buffer&) = delete;
  ~Buffer() { cudaFree(at_); }
  void fill(int byte) { check(cudaMemset(at_, byte, n_ * sizeof(T)), "cudaMemset"); }
  std::vector<T> host() const {
    std::vector<T> to(n_);
    check(cudaDeviceSynchronize(), "kernel");
    check(cudaMemcpy(to.data(), at_, n_ * sizeof(T), cudaMemcpyDeviceToHost), "download");
    return to;
  }
  T* get() const { return at_; }

 private:
  T* at_ = nullptr;
  size_t n_;
};

constexpr int kPoison = 0xa5;
template <class T>
bool is_poison(const T* at, int64_t n) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(at);
  return std::all_of(bytes, bytes + n * static_cast<int64_t>(sizeof(T)),
                     [](unsigned char b) { return b == kPoison; });
}

// Rows of some sequences, whose blocks come from a pool: the first ones of a sequence are the same
// for all, the last one is its own and holds large values behind the last position.
struct Plan {
  static constexpr int kFull = 8, kShared = 4;
  static constexpr int kNowhere = 1 << 30;  // table of a padding row
  std::vector<int32_t> positions, table_at, tiles;
  std::vector<int> table, visible = std::vector<int>(kFull, 64);

  void add(const std::vector<int>& of_rows, Random& random) {
    const int last = *std::max_element(of_rows.begin(), of_rows.end());
    const int at = static_cast<int>(table.size()), n = static_cast<int>(of_rows.size());
    for (int b = 0; last >= 0 && b < last / 64; ++b) {
      table.push_back(b < kShared ? b : kShared + random.below(kFull - kShared));
    }
    if (last >= 0) {
      table.push_back(static_cast<int>(visible.size()));
      visible.push_back(last % 64 + 1);
    }
    for (int i = 0; i < n; i += 64) {
      tiles.insert(tiles.end(), {static_cast<int>(positions.size()) + i, std::min(64, n - i)});
    }
    for (int p : of_rows) {
      positions.push_back(p);
      table_at.push_back(p < 0 ? kNowhere : at);
    }
  }
};

inline std::vector<int> span(int first, int n) {
  std::vector<int> all(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) all[static_cast<size_t>(i)] = first + i;
  return all;
}

Plan prefill_plan(Random& random) {
  Plan plan;
  for (int p : {0, 1, 62, 63, 64, 65, 127, 128, 700}) plan.add({p}, random);
  plan.add(span(60, 7), random);
  plan.add(span(0, 63), random);
  plan.add({-1, -1, -1}, random);
  plan.add(span(1, 128), random);
  plan.add(span(620, 111), random);
  std::vector<int> gaps = span(96, 60);
  for (int i : {0, 4, 40, 41, 42, 43, 44, 45, 46, 47, 58, 59}) gaps[static_cast<size_t>(i)] = -1;
  plan.add(gaps, random);
  return plan;
}

Plan decode_plan(Random& random) {
  Plan plan;
  for (int p : {2999, 0, 1, 62, 63, 64, -1, 65, 127, 128, 700}) plan.add({p}, random);
  while (plan.positions.size() < 63) plan.add({random.below(1500)}, random);
  plan.add({-1}, random);
  return plan;
}

template <class T>
class Case {
 public:
  Case(MoevalDevice& device, MoevalHeads heads, const Plan& plan, Random& random)
      : device_(device), heads_(heads), plan_(plan) {
    heads_.type = type_of<T>();
    pool_.resize(plan.visible.size() * kLayers * layer_size());
    const float stale = rounded<T>(3e4f);
    for (size_t i = 0; i < pool_.size(); ++i) pool_[i] = i % 3 == 0 ? stale : -stale;
    for (size_t b = 0; b < plan.visible.size(); ++b) {
      for (int64_t h = 0; h < 2 * heads_.n_kv_heads; ++h) {
        float* at = &pool_[position_at(static_cast<int>(b), h, 0)];
        for (int64_t i = 0; i < plan.visible[b] * heads_.d_head; ++i) {
          at[i] = rounded<T>(random.value());
        }
      }
    }
    qkv_.resize(static_cast<size_t>(m() * width()));
    for (float& v : qkv_) v = rounded<T>(random.value());
    pool_device_ = std::make_unique<Buffer<T>>(converted<T>(pool_));
    qkv_device_ = std::make_unique<Buffer<T>>(converted<T>(qkv_));
    refer();
  }

  // Runs over the first n rows, twice, in pre-poisoned memory.
  template <class F>
  void run(const std::string& what, int64_t n, bool tiles, F&& f) {
    std::vector<void*> addresses;
    for (int b : plan_.table) {
      addresses.push_back(pool_device_->get() + static_cast<size_t>(b) * kLayers * layer_size());
    }
    const Buffer<void*> tables(addresses);
    const Buffer<int32_t> positions(plan_.positions), at(plan_.table_at), tile(plan_.tiles);
    const MoevalRows rows{n,
                          nullptr,
                          positions.get(),
                          at.get(),
                          tables.get(),
                          tiles ? tile.get() : nullptr,
                          tiles ? static_cast<int64_t>(plan_.tiles.size() / 2) : 0};
    const Buffer<unsigned char> scratch(attention_scratch(device_, heads_, n));
    Buffer<T> out(static_cast<size_t>(m() * out_width()), kPoison);
    f(heads_, rows, kLayer, qkv_device_->get(), out.get(), scratch.get());
    const std::vector<T> result = out.host();
    out.fill(kPoison);
    f(heads_, rows, kLayer, qkv_device_->get(), out.get(), scratch.get());
    const std::vector<T> again = out.host();
    judge(what, n, result,
          std::memcmp(result.data(), again.data(), result.size() * sizeof(T)) == 0);
  }
  int64_t m() const { return static_cast<int64_t>(plan_.positions.size()); }

 private:
  static constexpr int kLayers = 2, kLayer = 1;
  size_t layer_size() const {
    return static_cast<size_t>(2 * heads_.n_kv_heads * 64 * heads_.d_head);
  }
  int64_t width() const { return (heads_.n_heads + 2 * heads_.n_kv_heads) * heads_.d_head; }
  int64_t out_width() const { return heads_.n_heads * heads_.d_head; }
  size_t position_at(int block, int64_t head, int p) const {  // values are heads n_kv_heads..
    const int64_t from = static_cast<int64_t>(block) * kLayers + kLayer;
    return static_cast<size_t>(((from * 2 * heads_.n_kv_heads + head) * 64 + p) * heads_.d_head);
  }

  void refer() {
    reference_.assign(static_cast<size_t>(m() * out_width()), 0.0);
    const int n_threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    std::vector<std::thread> threads;
    for (int t = 0; t < n_threads; ++t) {
      threads.emplace_back([this, t, n_threads] {
        for (int64_t r = t; r < m(); r += n_threads) refer_row(r);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  void refer_row(int64_t r) {
    const int position = plan_.positions[static_cast<size_t>(r)];
    const int64_t d = heads_.d_head;
    if (position < 0) return;
    const int* table = &plan_.table[static_cast<size_t>(plan_.table_at[static_cast<size_t>(r)])];
    std::vector<double> weights(static_cast<size_t>(position + 1));
    for (int64_t h = 0; h < heads_.n_heads; ++h) {
      const int64_t kv = h / (heads_.n_heads / heads_.n_kv_heads);
      const float* q = &qkv_[static_cast<size_t>(r * width() + h * d)];
      double largest = -1e300, total = 0;
      for (int p = 0; p <= position; ++p) {
        const float* k = &pool_[position_at(table[p / 64], kv, p % 64)];
        double s = 0;
        for (int64_t i = 0; i < d; ++i) s += static_cast<double>(q[i]) * static_cast<double>(k[i]);
        weights[static_cast<size_t>(p)] = s / std::sqrt(static_cast<double>(d));
        largest = std::max(largest, weights[static_cast<size_t>(p)]);
      }
      for (double& w : weights) total += w = std::exp(w - largest);
      double* out = &reference_[static_cast<size_t>(r * out_width() + h * d)];
      for (int p = 0; p <= position; ++p) {
        const float* v = &pool_[position_at(table[p / 64], heads_.n_kv_heads + kv, p % 64)];
        const double w = weights[static_cast<size_t>(p)] / total;
        for (int64_t i = 0; i < d; ++i) out[i] += w * static_cast<double>(v[i]);
      }
    }
  }

  void judge(const std::string& what, int64_t n, const std::vector<T>& result, bool same) {
    double all_off = 0, all = 0, worst = 0;
    bool untouched = true;
    for (int64_t r = 0; r < m(); ++r) {
      const T* got = &result[static_cast<size_t>(r * out_width())];
      if (r >= n || plan_.positions[static_cast<size_t>(r)] < 0) {
        untouched = untouched && is_poison(got, out_width());
        continue;
      }
      double off = 0, norm = 0;
      for (int64_t i = 0; i < out_width(); ++i) {
        const double ref = reference_[static_cast<size_t>(r * out_width() + i)];
        off += std::pow(static_cast<double>(to_host(got[i])) - ref, 2);
        norm += ref * ref;
      }
      const double of_row = std::sqrt(off / norm);
      worst = std::max(worst, of_row);
      all_off += off;
      all += norm;
    }
    const double error = std::sqrt(all_off / all), limit = limit_of<T>();
    char figures[160];
    std::snprintf(figures, sizeof figures, "error %.2e of %.0e, worst row %.2e%s%s", error, limit,
                  worst, untouched ? "" : ", padding written", same ? "" : ", not repeatable");
    char where[96];
    std::snprintf(where, sizeof where, "%s %s (%d,%d,%d) m=%d", what.c_str(), name_of<T>(),
                  static_cast<int>(heads_.n_heads), static_cast<int>(heads_.n_kv_heads),
                  static_cast<int>(heads_.d_head), static_cast<int>(n));
    verdict(error <= limit && worst <= 4 * limit && untouched && same, where, figures);
  }

  MoevalDevice& device_;
  MoevalHeads heads_;
  const Plan& plan_;
  std::unique_ptr<Buffer<T>> pool_device_, qkv_device_;
  std::vector<float> pool_, qkv_;
  std::vector<double> reference_;
};

}  // namespace attention_bench
