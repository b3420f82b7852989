// Owns the feed-forward blocks of experts over the rows that stand at their places.
#include <algorithm>
#include <vector>

#include "tests/support/reference_device/element.h"
#include "tests/support/reference_device/ops.h"

namespace reference_device {
namespace {

// The sizes that the caller has on the host against the counts that it has not.
void check_places(const MoevalDevice& device, const MoevalExperts& e, const MoevalDispatch& by) {
  if (e.path < kDevicePathAuto || e.path > kDevicePathLooped) {
    throw DeviceError("experts: path " + std::to_string(e.path));
  }
  if (e.first < 0 || e.n < 0 || e.first + e.n > by.n_experts) {
    throw DeviceError("experts: " + std::to_string(e.n) + " from " + std::to_string(e.first) +
                      " on, out of " + std::to_string(by.n_experts));
  }
  device.memory.array<int32_t>(by.counts, by.n_experts, "experts: counts");
  device.memory.array<int32_t>(by.offsets, by.n_experts + 1, "experts: offsets");
  device.memory.array<int32_t>(by.active, by.n_experts, "experts: active");
  const int64_t rows = by.offsets[e.first + e.n] - by.offsets[e.first];
  if (rows < 0 || rows > e.places || e.places > e.m * kDeviceMaxChosen) {
    throw DeviceError("experts: " + std::to_string(rows) + " rows at " + std::to_string(e.places) +
                      " places of " + std::to_string(e.m * kDeviceMaxChosen));
  }
}

// One expert's weights.
template <class T>
struct Block {
  const T *gate, *up, *down;
};

template <class T>
double dot(const T* a, const T* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(value_of(a[i])) * value_of(b[i]);
  return sum;
}

template <class T>
void run_row(const Block<T>& w, const T* x, int64_t d, int64_t width, T* hidden, T* y) {
  for (int64_t i = 0; i < width; ++i) {
    store(silu(dot(w.gate + i * d, x, d)) * dot(w.up + i * d, x, d), hidden[i]);
  }
  for (int64_t i = 0; i < d; ++i) store(dot(w.down + i * width, hidden, width), y[i]);
}

}  // namespace

void experts(MoevalDevice& device, const MoevalExperts& e, const MoevalDispatch& by) {
  check_places(device, e, by);
  const Memory& memory = device.memory;
  const int64_t end = by.offsets[e.first + e.n];
  memory.array<int32_t>(by.source, end, "experts: source");
  with_type(e.type, [&](auto zero) {
    using T = decltype(zero);
    const int64_t matrix = e.width * e.d;
    const Block<T> all{memory.array<T>(e.gate, e.n * matrix, "experts: gate"),
                       memory.array<T>(e.up, e.n * matrix, "experts: up"),
                       memory.array<T>(e.down, e.n * matrix, "experts: down")};
    const T* x = memory.array<T>(e.x, e.m * e.d, "experts: x");
    T* gathered = memory.array<T>(e.gathered, end * e.d, "experts: gathered");
    T* hidden = memory.array<T>(e.hidden, end * e.width, "experts: hidden");
    T* y = memory.array<T>(e.y, end * e.d, "experts: y");
    for (int32_t expert = e.first; expert < e.first + e.n; ++expert) {
      const int64_t from = (expert - e.first) * matrix;
      const Block<T> w{all.gate + from, all.up + from, all.down + from};
      for (int64_t place = by.offsets[expert]; place < by.offsets[expert + 1]; ++place) {
        const int64_t row = by.source[place];
        if (row < 0 || row >= e.m) throw DeviceError("experts: row " + std::to_string(row));
        std::copy_n(x + row * e.d, e.d, gathered + place * e.d);
        run_row(w, gathered + place * e.d, e.d, e.width, hidden + place * e.width, y + place * e.d);
      }
    }
  });
}

void experts_combine(MoevalDevice& device, const MoevalExperts& e, const MoevalDispatch& by,
                     const MoevalCombine& to) {
  if (e.first != 0 || e.n != by.n_experts) {
    throw DeviceError("experts_combine: " + std::to_string(e.n) + " experts of " +
                      std::to_string(by.n_experts));
  }
  experts(device, e, by);
  combine(device, e.type, e.y, by, to, e.m, e.d);
}

}  // namespace reference_device
