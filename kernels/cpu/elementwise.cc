#include "kernels/elementwise.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/panel.h"
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
using DoubleTag = hn::ScalableTag<double>;
using DoubleVec = hn::Vec<DoubleTag>;
using HalfFloatTag = hn::Rebind<float, DoubleTag>;  // as many floats as a vector of doubles has
inline constexpr int64_t kFloats = HWY_LANES(float), kDoubles = HWY_LANES(double);

// Sum of the lanes in a fixed order.
HWY_INLINE double lane_sum(DoubleVec v) {
  HWY_ALIGN double lanes[kDoubles];
  hn::Store(v, DoubleTag(), lanes);
  double sum = 0;
  for (double lane : lanes) sum += lane;
  return sum;
}

// The vector of x[i..n), padded with `fill`.
HWY_INLINE FloatVec tail_of(const float* x, int64_t i, int64_t n, float fill) {
  HWY_ALIGN float padded[kFloats];
  for (int64_t j = 0; j < kFloats; ++j) padded[j] = i + j < n ? x[i + j] : fill;
  return hn::Load(FloatTag(), padded);
}

HWY_INLINE void store_tail(FloatVec v, float* y, int64_t i, int64_t n) {
  HWY_ALIGN float lanes[kFloats];
  hn::Store(v, FloatTag(), lanes);
  std::copy_n(lanes, n - i, y + i);
}

void norm_rows(const float* x, int64_t m, int64_t n, const float* weight, float eps, float* y) {
  const FloatTag d;
  const DoubleTag dd;
  const HalfFloatTag dh;
  for (int64_t r = 0; r < m; ++r, x += n, y += n) {
    DoubleVec acc0 = hn::Zero(dd), acc1 = hn::Zero(dd);
    int64_t i = 0;
    for (; i + 2 * kDoubles <= n; i += 2 * kDoubles) {
      const DoubleVec a = hn::PromoteTo(dd, hn::LoadU(dh, x + i));
      const DoubleVec b = hn::PromoteTo(dd, hn::LoadU(dh, x + i + kDoubles));
      acc0 = hn::MulAdd(a, a, acc0);
      acc1 = hn::MulAdd(b, b, acc1);
    }
    double sum = lane_sum(hn::Add(acc0, acc1));
    for (; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    const auto scale = static_cast<float>(
        1.0 / std::sqrt(sum / static_cast<double>(n) + static_cast<double>(eps)));
    const FloatVec factor = hn::Set(d, scale);
    for (i = 0; i + kFloats <= n; i += kFloats) {
      hn::StoreU(hn::Mul(hn::Mul(hn::LoadU(d, x + i), factor), hn::LoadU(d, weight + i)), d, y + i);
    }
    for (; i < n; ++i) y[i] = x[i] * scale * weight[i];
  }
}

// Rotates (a, b) by the angle whose cosine and sine are c and s; every product and sum is rounded.
HWY_INLINE void rotate(FloatVec& a, FloatVec& b, FloatVec c, FloatVec s) {
  const FloatVec first = hn::Sub(hn::Mul(a, c), hn::Mul(b, s));
  b = hn::Add(hn::Mul(a, s), hn::Mul(b, c));
  a = first;
}

HWY_INLINE void rotate_head(float* v, int64_t half, const float* table, bool interleaved) {
  const FloatTag d;
  FloatVec a, b, c, s;
  int64_t i = 0;
  for (; i + kFloats <= half; i += kFloats) {
    hn::LoadInterleaved2(d, table + 2 * i, c, s);
    if (interleaved) {
      hn::LoadInterleaved2(d, v + 2 * i, a, b);
      rotate(a, b, c, s);
      hn::StoreInterleaved2(a, b, d, v + 2 * i);
    } else {
      a = hn::LoadU(d, v + i);
      b = hn::LoadU(d, v + i + half);
      rotate(a, b, c, s);
      hn::StoreU(a, d, v + i);
      hn::StoreU(b, d, v + i + half);
    }
  }
  if (i == half) return;
  // The tail goes through padded vectors: left to itself, g++ 12 fuses the interleaved scalar form
  // into multiply-addsub, contraction off or not.
  HWY_ALIGN float lanes[4][kFloats] = {};
  const int64_t step = interleaved ? 2 : 1, second = interleaved ? 1 : half;
  for (int64_t j = 0; i + j < half; ++j) {
    lanes[0][j] = v[step * (i + j)];
    lanes[1][j] = v[step * (i + j) + second];
    lanes[2][j] = table[2 * (i + j)];
    lanes[3][j] = table[2 * (i + j) + 1];
  }
  a = hn::Load(d, lanes[0]);
  b = hn::Load(d, lanes[1]);
  rotate(a, b, hn::Load(d, lanes[2]), hn::Load(d, lanes[3]));
  hn::Store(a, d, lanes[0]);
  hn::Store(b, d, lanes[1]);
  for (int64_t j = 0; i + j < half; ++j) {
    v[step * (i + j)] = lanes[0][j];
    v[step * (i + j) + second] = lanes[1][j];
  }
}

void rotate_rows(float* x, int64_t row_stride, int64_t m, int64_t n_heads, int64_t d_head,
                 int64_t d_rot, const int32_t* positions, const float* cos_sin, bool interleaved) {
  for (int64_t r = 0; r < m; ++r) {
    const float* table = cos_sin + positions[r] * d_rot;
    for (int64_t h = 0; h < n_heads; ++h) {
      rotate_head(x + r * row_stride + h * d_head, d_rot / 2, table, interleaved);
    }
  }
}

HWY_INLINE FloatVec silu_times(FloatVec gate, FloatVec up) {
  const FloatTag d;
  const FloatVec one = hn::Set(d, 1.0f);
  return hn::Mul(hn::Div(gate, hn::Add(one, exp_of(d, hn::Neg(gate)))), up);
}

void swiglu_span(const float* gate, const float* up, int64_t n, float* h) {
  const FloatTag d;
  int64_t i = 0;
  for (; i + kFloats <= n; i += kFloats) {
    hn::StoreU(silu_times(hn::LoadU(d, gate + i), hn::LoadU(d, up + i)), d, h + i);
  }
  if (i < n) store_tail(silu_times(tail_of(gate, i, n, 0), tail_of(up, i, n, 0)), h, i, n);
}

void add_span(const float* x, int64_t n, float* y) {
  const FloatTag d;
  int64_t i = 0;
  for (; i + kFloats <= n; i += kFloats) {
    hn::StoreU(hn::Add(hn::LoadU(d, y + i), hn::LoadU(d, x + i)), d, y + i);
  }
  for (; i < n; ++i) y[i] += x[i];
}

// Largest element that is not NaN; -inf if there is none.
float max_of(const float* x, int64_t n) {
  const FloatTag d;
  FloatVec best = hn::Set(d, -HUGE_VALF);
  const auto take = [&](FloatVec v) HWY_ATTR { best = hn::IfThenElse(hn::Gt(v, best), v, best); };
  int64_t i = 0;
  for (; i + kFloats <= n; i += kFloats) take(hn::LoadU(d, x + i));
  if (i < n) take(tail_of(x, i, n, -HUGE_VALF));
  return hn::GetLane(hn::MaxOfLanes(d, best));
}

// Sum of exp(x[i] - max) in double, lane by lane, then over the lanes.
double sum_exp(const float* x, int64_t n, double max) {
  const DoubleTag dd;
  const HalfFloatTag dh;
  const DoubleVec shift = hn::Set(dd, max);
  DoubleVec acc = hn::Zero(dd);
  int64_t i = 0;
  for (; i + kDoubles <= n; i += kDoubles) {
    acc = hn::Add(acc, exp_of(dd, hn::Sub(hn::PromoteTo(dd, hn::LoadU(dh, x + i)), shift)));
  }
  if (i < n) {
    HWY_ALIGN double padded[kDoubles];
    for (int64_t j = 0; j < kDoubles; ++j) {
      padded[j] = i + j < n ? static_cast<double>(x[i + j]) : -HUGE_VAL;
    }
    acc = hn::Add(acc, exp_of(dd, hn::Sub(hn::Load(dd, padded), shift)));
  }
  return lane_sum(acc);
}

// Sum of exp(p[i] - p_norm) (p[i] - q[i]) in double; a term of probability 0 is 0.
double weighted_difference(const float* p, double p_norm, const float* q, int64_t n) {
  const DoubleTag dd;
  const HalfFloatTag dh;
  const DoubleVec norm = hn::Set(dd, p_norm), zero = hn::Zero(dd);
  DoubleVec acc = zero;
  const auto add = [&](DoubleVec x, DoubleVec y) {
    const DoubleVec weight = exp_of(dd, hn::Sub(x, norm));
    const DoubleVec term = hn::Mul(weight, hn::Sub(x, y));
    acc = hn::Add(acc, hn::IfThenElse(hn::Eq(weight, zero), zero, term));
  };
  int64_t i = 0;
  for (; i + kDoubles <= n; i += kDoubles)
    add(hn::PromoteTo(dd, hn::LoadU(dh, p + i)), hn::PromoteTo(dd, hn::LoadU(dh, q + i)));
  if (i < n) {
    HWY_ALIGN double x[kDoubles];
    HWY_ALIGN double y[kDoubles];
    for (int64_t j = 0; j < kDoubles; ++j) {
      x[j] = i + j < n ? static_cast<double>(p[i + j]) : -HUGE_VAL;
      y[j] = i + j < n ? static_cast<double>(q[i + j]) : 0;
    }
    add(hn::Load(dd, x), hn::Load(dd, y));
  }
  return lane_sum(acc);
}

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kernels {

HWY_EXPORT(norm_rows);
HWY_EXPORT(rotate_rows);
HWY_EXPORT(swiglu_span);
HWY_EXPORT(add_span);
HWY_EXPORT(max_of);
HWY_EXPORT(sum_exp);
HWY_EXPORT(weighted_difference);

// Elements of one task; smaller work stays in the calling thread.
static constexpr int64_t kSpan = 16 * 1024;

// Calls body(first, count) over spans of 0..n-1 of about kSpan / width items.
template <class Body>
static void for_spans(int64_t n, int64_t width, ThreadPool& pool, const Body& body) {
  const int64_t span = std::max<int64_t>(1, kSpan / std::max<int64_t>(1, width));
  pool.parallel_for((n + span - 1) / span,
                    [&](int64_t i, int) { body(i * span, std::min(span, n - i * span)); });
}

void rms_norm(const float* x, int64_t m, int64_t n, const float* weight, float eps, float* y,
              ThreadPool& pool) {
  for_spans(m, n, pool, [&](int64_t r, int64_t count) {
    HWY_DYNAMIC_DISPATCH(norm_rows)(x + r * n, count, n, weight, eps, y + r * n);
  });
}

void rope(float* x, int64_t row_stride, int64_t m, int64_t n_heads, int64_t d_head, int64_t d_rot,
          const int32_t* positions, const float* cos_sin, bool interleaved, ThreadPool& pool) {
  for_spans(m, n_heads * d_rot, pool, [&](int64_t r, int64_t count) {
    HWY_DYNAMIC_DISPATCH(rotate_rows)
    (x + r * row_stride, row_stride, count, n_heads, d_head, d_rot, positions + r, cos_sin,
     interleaved);
  });
}

void swiglu(const float* gate, const float* up, int64_t m, int64_t n, float* h, ThreadPool& pool) {
  for_spans(m * n, 1, pool, [&](int64_t i, int64_t count) {
    HWY_DYNAMIC_DISPATCH(swiglu_span)(gate + i, up + i, count, h + i);
  });
}

void swiglu_row(const float* gate, const float* up, int64_t n, float* h) {
  HWY_DYNAMIC_DISPATCH(swiglu_span)(gate, up, n, h);
}

void add_rows(const float* x, int64_t n, float* y, ThreadPool& pool) {
  for_spans(n, 1, pool, [&](int64_t i, int64_t count) {
    HWY_DYNAMIC_DISPATCH(add_span)(x + i, count, y + i);
  });
}

double log_sum_exp(const float* x, int64_t n) {
  const double max = static_cast<double>(HWY_DYNAMIC_DISPATCH(max_of)(x, n));
  if (!std::isinf(max)) return max + std::log(HWY_DYNAMIC_DISPATCH(sum_exp)(x, n, max));
  const bool broken = std::any_of(x, x + n, [](float v) { return std::isnan(v); });
  return broken ? std::numeric_limits<double>::quiet_NaN() : max;
}

double kl_divergence(const float* p, double p_norm, const float* q, double q_norm, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(weighted_difference)(p, p_norm, q, n) + q_norm - p_norm;
}

int64_t argmax(const float* x, int64_t n) {
  const float max = HWY_DYNAMIC_DISPATCH(max_of)(x, n);
  for (int64_t i = 0; i < n; ++i) {
    if (x[i] == max) return i;
  }
  return -1;
}

}  // namespace kernels
#endif
