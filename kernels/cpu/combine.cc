#include "kernels/combine.h"

#include <algorithm>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/combine.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
inline constexpr int64_t kFloats = HWY_LANES(float);

// y[0..n) = the sum over terms, as the contract says; terms > 0. The tail goes through a padded
// vector, so that its multiply-adds are the vector's.
void weighted_sum(const float* rows, int64_t d, const int32_t* source, const float* weights,
                  int64_t terms, float* y) {
  const FloatTag f;
  const auto load = [&](int64_t j, int64_t i) HWY_ATTR {
    const float* from = rows + source[j] * d + i;
    if (i + kFloats <= d) return hn::LoadU(f, from);
    HWY_ALIGN float padded[kFloats] = {};
    std::copy_n(from, d - i, padded);
    return hn::Load(f, padded);
  };
  for (int64_t i = 0; i < d; i += kFloats) {
    FloatVec sum = hn::Mul(hn::Set(f, weights[0]), load(0, i));
    for (int64_t j = 1; j < terms; ++j) {
      sum = hn::MulAdd(hn::Set(f, weights[j]), load(j, i), sum);
    }
    if (i + kFloats <= d) {
      hn::StoreU(sum, f, y + i);
    } else {
      HWY_ALIGN float lanes[kFloats];
      hn::Store(sum, f, lanes);
      std::copy_n(lanes, d - i, y + i);
    }
  }
}

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kernels {

HWY_EXPORT(weighted_sum);

static constexpr int64_t kSpan = 16 * 1024;  // floats written by one task

// Calls body(row) for 0..n-1, rows of d floats.
template <class Body>
static void for_rows(int64_t n, int64_t d, ThreadPool& pool, const Body& body) {
  const int64_t span = std::max<int64_t>(1, kSpan / std::max<int64_t>(1, d));
  pool.parallel_for((n + span - 1) / span, [&](int64_t task, int) {
    for (int64_t r = task * span; r < std::min(n, (task + 1) * span); ++r) body(r);
  });
}

void gather_rows(const float* x, int64_t d, const int32_t* source, int64_t n, float* y,
                 ThreadPool& pool) {
  for_rows(n, d, pool, [&](int64_t i) { std::copy_n(x + source[i] * d, d, y + i * d); });
}

void combine_rows(const float* rows, int64_t d, const int32_t* source, const float* weights,
                  int64_t m, float* y, ThreadPool& pool) {
  for_rows(m, d, pool, [&](int64_t r) {
    const int32_t* from = source + r * kMaxTerms;
    const auto terms = std::find(from, from + kMaxTerms, -1) - from;
    if (terms == 0) {
      std::fill_n(y + r * d, d, 0.0f);
    } else {
      HWY_DYNAMIC_DISPATCH(weighted_sum)(rows, d, from, weights + r * kMaxTerms, terms, y + r * d);
    }
  });
}

void add_missing_means(const float* means, int64_t d, int64_t n_experts, const int16_t* ids,
                       int64_t m, float* y, ThreadPool& pool) {
  for_rows(m, d, pool, [&](int64_t r) {
    constexpr int64_t kBlock = 256;
    for (int64_t i0 = 0; i0 < d; i0 += kBlock) {
      const int64_t n = std::min(kBlock, d - i0);
      const int16_t* next = ids + r * kMaxTerms;
      const int16_t* const end = next + kMaxTerms;
      float sum[kBlock];
      bool any = false;
      for (int64_t e = 0; e < n_experts; ++e) {
        if (next != end && *next == e) {
          ++next;
          continue;
        }
        const float* mean = means + e * d + i0;
        if (any) {
          for (int64_t i = 0; i < n; ++i) sum[i] += mean[i];
        } else {
          std::copy_n(mean, n, sum);
        }
        any = true;
      }
      if (!any) return;
      for (int64_t i = 0; i < n; ++i) y[r * d + i0 + i] += sum[i];
    }
  });
}

}  // namespace kernels
#endif
