// Owns the choice of experts of one row by one warp; probabilities in double. Contract:
// kernels/select_experts.h.
#pragma once

#include <cuda/std/limits>

#include "kernels/cuda/context.cuh"
#include "kernels/cuda/selection.h"

namespace moeval_cuda {

inline constexpr unsigned kAllLanes = 0xffffffffu;

__device__ inline double warp_sum(double v) {
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(kAllLanes, v, step);
  return v;
}

// A score as an integer of the same order; no two floats but 0 and -0 share one, and those are made
// equal.
__device__ inline uint32_t ordered(float score) {
  const uint32_t bits = __float_as_uint(score == 0 ? 0.0f : score);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

// Nothing is chosen yet: what padding rows are left with.
__device__ inline void clear_choice(const MoevalRouting& r, int64_t row, int lane) {
  if (lane < kDeviceMaxChosen) {
    r.ids[row * kDeviceMaxChosen + lane] = -1;
    r.weights[row * kDeviceMaxChosen + lane] = 0;
  }
  if (lane == 0) r.margins[row] = cuda::std::numeric_limits<float>::quiet_NaN();
}

template <class T>
__device__ bool row_is_finite(const T* x, int64_t d, int lane) {
  bool ok = true;
  for (int64_t i = lane; i < d; i += 32) ok = ok && isfinite(to_float(x[i]));
  return __all_sync(kAllLanes, ok);
}

// What a row may choose: known before the step, so it can be read before the row's scores are
// there.
struct Choice {
  int position;
  MoevalSelection want;
};
__device__ inline Choice choice_of(const MoevalRouting& r, int64_t row) {
  Choice c{r.positions[row], {}};
  if (c.position >= 0) c.want = r.selections[r.budget_of[row] * r.n_layers + r.layer];
  return c;
}

// scores [n_routed <= 32 * HELD], of this row, in shared memory or written by other blocks of the
// running kernel: volatile, so that no stale line of L1 is read. All lanes of a warp.
template <class T, int HELD>
__device__ void select_row(const MoevalRouting& r, const Choice& choice, int64_t row,
                           const volatile float* scores, int lane) {
  int16_t* ids = r.ids + row * kDeviceMaxChosen;
  float* weights = r.weights + row * kDeviceMaxChosen;
  clear_choice(r, row, lane);
  if (choice.position < 0) return;
  const MoevalSelection want = choice.want;
  __syncwarp();
  if (lane < want.n_shared) {
    ids[lane] = static_cast<int16_t>(lane);
    weights[lane] = 1;
    if (r.shared_gates) {
      const double gate = r.shared_gates[row * r.n_shared + lane];
      weights[lane] = static_cast<float>(1 / (1 + exp(-gate)));
    }
  }
  if (want.k == 0) return;

  const int n = r.n_routed, to = want.n_shared;
  float held[HELD];
  bool finite = true;
#pragma unroll
  for (int i = 0; i < HELD; ++i) {
    const int e = i * 32 + lane;
    held[i] = e < n ? scores[e] : 0;
    finite = finite && isfinite(held[i]);
  }
  if (!__all_sync(kAllLanes, finite)) {
    if (lane < want.k) {
      ids[to + lane] = static_cast<int16_t>(r.n_shared + lane);
      weights[to + lane] = cuda::std::numeric_limits<float>::quiet_NaN();
    }
    const bool input = !row_is_finite(static_cast<const T*>(r.input) + row * r.d, r.d, lane);
    if (lane == 0 && r.faults[row] == 0) r.faults[row] = 1 + 2 * r.layer + (input ? 1 : 0);
    return;
  }

  const auto gate = static_cast<Gate>(r.gate_rule);
  const bool trained = gate == Gate::divided_by_trained || gate == Gate::scaled_to_trained;
  const int wanted = min(n, max(want.k + 1, trained ? r.trained_k : 0));
  // The c-th best expert and its score end up in lane c.
  int id = -1;
  float top = 0;
  uint32_t taken = 0;  // bits of held
  for (int c = 0; c < wanted; ++c) {
    uint32_t mine = 0;
    int at = -1;
#pragma unroll
    for (int i = 0; i < HELD; ++i) {
      const uint32_t key = ordered(held[i]);
      if (i * 32 + lane < n && !(taken >> i & 1) && (at < 0 || key > mine)) mine = key, at = i;
    }
    // A finite score's key is above 0.
    const uint32_t best = __reduce_max_sync(kAllLanes, at < 0 ? 0 : mine);
    const bool has = at >= 0 && mine == best;
    const auto e = static_cast<int>(
        __reduce_min_sync(kAllLanes, has ? static_cast<unsigned>(at * 32 + lane) : 0xffffffffu));
    if (has && at * 32 + lane == e) taken |= 1u << at;
    if (lane == c) id = e;
  }
  if (id >= 0) top = scores[id];
  const double largest = __shfl_sync(kAllLanes, top, 0);
  double sum = 0, weighted = 0;
#pragma unroll
  for (int i = 0; i < HELD; ++i) {
    if (i * 32 + lane >= n) continue;
    const double shifted = static_cast<double>(held[i]) - largest, e = exp(shifted);
    sum += e;
    weighted += e * shifted;
  }
  sum = warp_sum(sum);
  const double p = id >= 0 ? exp(static_cast<double>(top) - largest) / sum : 0;
  const auto sum_to = [&](int count) { return warp_sum(lane < count ? p : 0.0); };

  int chosen = want.k;
  if (static_cast<Rule>(want.rule) != Rule::top_k) {
    weighted = warp_sum(weighted);
    const double entropy = n == 1 ? 0 : (log(sum) - weighted / sum) / log(static_cast<double>(n));
    double all[kDeviceMaxChosen + 1];
#pragma unroll
    for (int c = 0; c <= kDeviceMaxChosen; ++c) all[c] = __shfl_sync(kAllLanes, p, c);
    chosen =
        count_chosen(static_cast<Rule>(want.rule), want.k, want.value, want.slope, all, entropy);
  }
  double scale = 1;
  if (gate == Gate::divided) scale = 1 / sum_to(chosen);
  if (gate == Gate::divided_by_trained) scale = 1 / sum_to(r.trained_k);
  if (gate == Gate::scaled_to_trained) scale = sum_to(r.trained_k) / sum_to(chosen);
  const double next_p = __shfl_down_sync(kAllLanes, p, 1);
  const float next_top = __shfl_down_sync(kAllLanes, top, 1);
  if (lane == chosen - 1 && chosen < n) {
    r.margins[row] = gate == Gate::unit ? top - next_top : static_cast<float>(p - next_p);
  }
  // By ascending id: the place of an expert is the number of chosen ones below it.
  int rank = 0;
  for (int c = 0; c < chosen; ++c) rank += __shfl_sync(kAllLanes, id, c) < id;
  if (lane < chosen) {
    ids[to + rank] = static_cast<int16_t>(r.n_shared + id);
    weights[to + rank] = gate == Gate::unit ? 1.0f : static_cast<float>(p * scale);
  }
}

// Calls f with the number of scores that a lane holds for n experts.
template <class F>
void with_held(int32_t n_routed, F&& f) {
  if (n_routed <= 64) return f(std::integral_constant<int, 2>{});
  if (n_routed <= 128) return f(std::integral_constant<int, 4>{});
  f(std::integral_constant<int, 16>{});
}

}  // namespace moeval_cuda
