#include "kernels/limits.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/limits.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
inline constexpr int64_t kFloats = HWY_LANES(float);
inline constexpr int kChains = 12;  // covers the latency of two units, and fits 16 registers

// steps multiply-adds on each of kChains vectors; returns the FLOPs. sum keeps the work alive.
double fma_chains(int64_t steps, float* sum) {
  const FloatTag d;
  const FloatVec factor = hn::Set(d, 0.999f), term = hn::Set(d, 0.001f);
  FloatVec acc[kChains];
  for (int i = 0; i < kChains; ++i) acc[i] = hn::Set(d, static_cast<float>(i));
  for (int64_t s = 0; s < steps; ++s) {
    for (int i = 0; i < kChains; ++i) acc[i] = hn::MulAdd(acc[i], factor, term);
  }
  for (int i = 1; i < kChains; ++i) acc[0] = hn::Add(acc[0], acc[i]);
  *sum = hn::GetLane(acc[0]);
  return 2.0 * static_cast<double>(steps * kChains * kFloats);
}

float sum_span(const float* x, int64_t n) {
  const FloatTag d;
  FloatVec acc[8];
  for (FloatVec& a : acc) a = hn::Zero(d);
  int64_t i = 0;
  for (; i + 8 * kFloats <= n; i += 8 * kFloats) {
    for (int v = 0; v < 8; ++v) acc[v] = hn::Add(acc[v], hn::LoadU(d, x + i + v * kFloats));
  }
  for (int v = 1; v < 8; ++v) acc[0] = hn::Add(acc[0], acc[v]);
  float sum = hn::GetLane(hn::SumOfLanes(d, acc[0]));
  for (; i < n; ++i) sum += x[i];
  return sum;
}

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kernels {

HWY_EXPORT(fma_chains);
HWY_EXPORT(sum_span);

static constexpr int64_t kSteps = 1 << 18;
static constexpr int64_t kSpanFloats = 1 << 20;

double fma_burst(ThreadPool& pool) {
  const auto threads = static_cast<size_t>(pool.size());
  std::vector<double> flops(threads);
  std::vector<float> sums(threads);
  pool.parallel_for(pool.size(), [&](int64_t i, int) {
    const auto at = static_cast<size_t>(i);
    flops[at] = HWY_DYNAMIC_DISPATCH(fma_chains)(kSteps, &sums[at]);
  });
  double total = 0;
  for (double f : flops) total += f;
  return total;
}

float read_sum(const float* x, int64_t n, ThreadPool& pool) {
  std::vector<float> sums(static_cast<size_t>((n + kSpanFloats - 1) / kSpanFloats));
  pool.parallel_for(static_cast<int64_t>(sums.size()), [&](int64_t i, int) {
    const int64_t first = i * kSpanFloats;
    sums[static_cast<size_t>(i)] =
        HWY_DYNAMIC_DISPATCH(sum_span)(x + first, std::min(kSpanFloats, n - first));
  });
  float sum = 0;
  for (float s : sums) sum += s;
  return sum;
}

}  // namespace kernels
#endif
