// Owns two modules side by side, the one under test and the plain one of
// tests/support/reference_device: the same inputs go to both, and what comes back is compared.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "kernels/half.h"

namespace op_cases {

inline uint16_t bf16_of(float v) {
  const auto bits = std::bit_cast<uint32_t>(v);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

// Stored elements of a type.
inline std::vector<std::byte> stored(const std::vector<float>& values, int32_t type) {
  std::vector<std::byte> out(values.size() * (type == kDeviceF32 ? 4 : 2));
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == kDeviceF32) {
      std::memcpy(out.data() + 4 * i, &values[i], 4);
    } else {
      const uint16_t v =
          type == kDeviceF16 ? kernels::half_from_float(values[i]) : bf16_of(values[i]);
      std::memcpy(out.data() + 2 * i, &v, 2);
    }
  }
  return out;
}

inline std::vector<float> floats(const std::vector<std::byte>& bytes, int32_t type) {
  std::vector<float> out(bytes.size() / (type == kDeviceF32 ? 4 : 2));
  for (size_t i = 0; i < out.size(); ++i) {
    if (type == kDeviceF32) {
      std::memcpy(&out[i], bytes.data() + 4 * i, 4);
    } else {
      uint16_t v = 0;
      std::memcpy(&v, bytes.data() + 2 * i, 2);
      out[i] = type == kDeviceF16 ? kernels::half_to_float(v)
                                  : std::bit_cast<float>(static_cast<uint32_t>(v) << 16);
    }
  }
  return out;
}

// One of the two, with what a case allocated on it.
struct Side {
  std::shared_ptr<kernels::Device> device;
  std::vector<kernels::DeviceBuffer> buffers;
  const MoevalDeviceTable& ops() const { return device->ops(); }
};

class Pair {
 public:
  Pair(const std::string& tested, const std::string& reference) {
    const char* path[] = {tested.c_str(), reference.c_str()};
    for (int i = 0; i < 2; ++i) {
      side[i].device = kernels::Device::open(kernels::DeviceModule::load(path[i]), 0);
    }
  }

  // Memory with the same content on both sides; its number.
  size_t put_bytes(const void* bytes, size_t n) {
    for (Side& s : side) {
      s.buffers.emplace_back(s.device, std::max<size_t>(n, 16), "a case");
      if (n > 0) s.device->run(s.ops().upload, s.buffers.back().data(), bytes, n);
      s.device->synchronize();
    }
    return side[0].buffers.size() - 1;
  }
  template <class T>
  size_t put(const std::vector<T>& values) {
    return put_bytes(values.data(), values.size() * sizeof(T));
  }
  size_t put(const std::vector<float>& values, int32_t type) { return put(stored(values, type)); }
  // Poisoned: every byte 0xff.
  size_t room(size_t bytes) { return put(std::vector<std::byte>(bytes, std::byte{0xff})); }

  std::vector<std::byte> get(int which, size_t buffer, size_t bytes) const {
    const Side& s = side[which];
    std::vector<std::byte> out(bytes);
    s.device->run(s.ops().download, static_cast<void*>(out.data()),
                  static_cast<const void*>(s.buffers[buffer].data()), bytes);
    s.device->synchronize();
    return out;
  }
  template <class T = void>
  T* at(int which, size_t buffer) const {
    return static_cast<T*>(side[which].buffers[buffer].data());
  }

  // Runs an op on both sides: op(side number).
  void run(const std::function<void(int)>& op) {
    for (int i = 0; i < 2; ++i) {
      op(i);
      side[i].device->synchronize();
    }
  }

  void same_bytes(const std::string& name, size_t buffer, size_t bytes) {
    const bool same = get(0, buffer, bytes) == get(1, buffer, bytes);
    say(name, same ? 0 : 1, 0, same);
  }
  // ||tested - reference|| / ||reference||; places that are NaN must be NaN on both sides.
  void near(const std::string& name, size_t buffer, size_t n, int32_t type, double tolerance) {
    const size_t size = type == kDeviceF32 ? 4 : 2;
    const auto a = floats(get(0, buffer, n * size), type),
               b = floats(get(1, buffer, n * size), type);
    double difference = 0, norm = 0;
    bool same_nans = true;
    for (size_t i = 0; i < n; ++i) {
      same_nans = same_nans && std::isnan(a[i]) == std::isnan(b[i]);
      if (std::isnan(a[i]) || std::isnan(b[i]) || (std::isinf(a[i]) && a[i] == b[i])) continue;
      difference += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
      norm += static_cast<double>(b[i]) * b[i];
    }
    const double error = norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
    say(name, error, tolerance, same_nans && error <= tolerance);
  }
  void expect(const std::string& name, bool ok) { say(name, ok ? 0 : 1, 0, ok); }

  void clear() {
    for (Side& s : side) s.buffers.clear();
  }
  int failures() const { return failures_; }
  int passes() const { return passes_; }

  Side side[2];
  std::mt19937_64 random{std::random_device{}()};

  std::vector<float> normal(size_t n, float scale = 1, float outliers = 0) {
    std::normal_distribution<float> d(0, scale);
    std::vector<float> v(n);
    for (float& x : v) x = d(random);
    for (size_t i = 0; i < n && outliers > 0; i += 97) v[i] *= outliers;
    return v;
  }

 private:
  void say(const std::string& name, double error, double tolerance, bool ok) {
    ++(ok ? passes_ : failures_);
    std::printf("%s  %-46s %.2e <= %.0e\n", ok ? "PASS" : "FAIL", name.c_str(), error, tolerance);
    std::fflush(stdout);
  }
  int failures_ = 0, passes_ = 0;
};

inline const char* type_name(int32_t t) {
  return t == kDeviceF32 ? "f32" : t == kDeviceF16 ? "f16" : "bf16";
}
// Of one rounding to the type.
inline double tolerance(int32_t t) {
  return t == kDeviceF32 ? 2e-6 : t == kDeviceF16 ? 1e-3 : 6e-3;
}

void check_rows(Pair&, int32_t type);     // embedding, norms, activations, dense products
void check_routing(Pair&, int32_t type);  // select, dispatch, experts, combine
// Norms of heads, rope, keys and values, attention.
void check_attention(Pair&, int32_t type);
void check_head(Pair&);  // log-softmax, pick; a captured graph

}  // namespace op_cases
