// Owns the order of rows by expert and the weighted sum back.
#include <algorithm>
#include <cmath>
#include <functional>

#include "tests/support/reference_device/element.h"
#include "tests/support/reference_device/ops.h"

namespace reference_device {
namespace {

constexpr int64_t kPlaces = kDeviceMaxChosen;

// Experts of a row: ascending, all known, then -1.
void check_ids(const int16_t* ids, int64_t row, int32_t n_experts) {
  const auto* end = std::find(ids, ids + kPlaces, -1);
  const bool rising = std::adjacent_find(ids, end, std::greater_equal<>()) == end;
  const bool known = std::all_of(ids, end, [&](int16_t e) { return e >= 0 && e < n_experts; });
  const bool rest = std::all_of(end, ids + kPlaces, [](int16_t e) { return e == -1; });
  if (!rising || !known || !rest) {
    throw DeviceError("experts of row " + std::to_string(row) + " are no list of chosen ones");
  }
}

// y * weight over the experts of a row, one element of it: the first product rounded, then fma.
template <class T>
float weighted_sum(const T* y, const int32_t* slots, const float* weights, int64_t n, int64_t d,
                   int64_t i) {
  float sum = 0;
  for (int64_t j = 0; j < n; ++j) {
    const float v = value_of(y[slots[j] * d + i]);
    sum = j == 0 ? weights[j] * v : std::fma(weights[j], v, sum);
  }
  return sum;
}

// Of the experts not in ids, ascending, one element.
float missing_means(const float* means, const int16_t* ids, int32_t n_experts, int64_t d,
                    int64_t i) {
  float sum = 0;
  for (int32_t e = 0; e < n_experts; ++e) {
    if (std::find(ids, ids + kPlaces, e) == ids + kPlaces) sum += means[e * d + i];
  }
  return sum;
}

}  // namespace

void dispatch(MoevalDevice& device, const int16_t* ids, int64_t m, const MoevalDispatch& to) {
  const Memory& memory = device.memory;
  memory.array<int16_t>(ids, m * kPlaces, "dispatch: ids");
  memory.array<int32_t>(to.counts, to.n_experts, "dispatch: counts");
  memory.array<int32_t>(to.offsets, to.n_experts + 1, "dispatch: offsets");
  memory.array<int32_t>(to.active, to.n_experts, "dispatch: active");
  memory.array<int32_t>(to.slot, m * kPlaces, "dispatch: slot");
  for (int64_t r = 0; r < m; ++r) check_ids(ids + r * kPlaces, r, to.n_experts);
  const int64_t unused = std::count(ids, ids + m * kPlaces, -1);
  memory.array<int32_t>(to.source, m * kPlaces - unused, "dispatch: source");
  std::fill_n(to.slot, m * kPlaces, -1);
  std::fill_n(to.active, to.n_experts, -1);
  int32_t place = 0, n_active = 0;
  for (int32_t e = 0; e < to.n_experts; ++e) {
    to.offsets[e] = place;
    for (int64_t i = 0; i < m * kPlaces; ++i) {  // by row: a row has an expert once
      if (ids[i] != e) continue;
      to.source[place] = static_cast<int32_t>(i / kPlaces);
      to.slot[i] = place++;
    }
    to.counts[e] = place - to.offsets[e];
    if (to.counts[e] > 0) to.active[n_active++] = e;
  }
  to.offsets[to.n_experts] = place;
}

void route(MoevalDevice& device, const MoevalRoute& r, int64_t m) {
  const MoevalRouting& by = r.routing;
  rms_norm(device, by.type, r.x, nullptr, m, by.d, r.norm_weight, r.eps, r.normed);
  matmul(device, by.type, r.normed, m, r.router, by.n_routed, by.d, r.bias, kDeviceF32, 0,
         r.scores);
  select(device, by, m);
  dispatch(device, by.ids, m, r.dispatch);
}

void combine(MoevalDevice& device, int32_t type, const void* y, const MoevalDispatch& by,
             const MoevalCombine& to, int64_t m, int64_t d) {
  const Memory& memory = device.memory;
  const auto& [ids, weights, means, x, norm_weight, eps, normed] = to;
  memory.array<int16_t>(ids, m * kPlaces, "combine: ids");
  memory.array<float>(weights, m * kPlaces, "combine: weights");
  memory.array<int32_t>(by.slot, m * kPlaces, "combine: slot");
  if (means) memory.array<float>(means, by.n_experts * d, "combine: means");
  memory.array<float>(x, m * d, "combine: x");
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t r = 0; r < m; ++r) {
      const int64_t at = r * kPlaces;
      check_ids(ids + at, r, by.n_experts);
      const int64_t n = std::find(ids + at, ids + at + kPlaces, -1) - (ids + at);
      if (n == 0) continue;  // a padding row
      for (int64_t j = 0; j < n; ++j) {
        const int32_t slot = by.slot[at + j];
        if (slot < 0)
          throw DeviceError("combine: an expert of row " + std::to_string(r) + " has no place");
        memory.array<T>(static_cast<const T*>(y) + slot * d, d, "combine: row of y");
      }
      for (int64_t i = 0; i < d; ++i) {
        float sum = weighted_sum(static_cast<const T*>(y), by.slot + at, weights + at, n, d, i);
        if (means && n < by.n_experts) sum += missing_means(means, ids + at, by.n_experts, d, i);
        x[r * d + i] += sum;
      }
      if (norm_weight) {
        rms_norm(device, type, x + r * d, nullptr, 1, d, norm_weight, eps,
                 static_cast<T*>(normed) + r * d);
      }
    }
  });
}

}  // namespace reference_device
