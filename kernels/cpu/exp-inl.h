// Owns the exponential of softmax and activations: Highway's, made total. NaN stays NaN, so that a
// broken activation cannot vanish in a softmax; what overflows is +inf.

#if defined(MOEVAL_KERNELS_CPU_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MOEVAL_KERNELS_CPU_EXP_INL_H_
#undef MOEVAL_KERNELS_CPU_EXP_INL_H_
#else
#define MOEVAL_KERNELS_CPU_EXP_INL_H_
#endif

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V exp_of(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  using T = hn::TFromD<D>;
  // The range that Exp documents; below it, the result is 0 anyway.
  const V low = hn::Set(d, static_cast<T>(sizeof(T) == 4 ? -104 : -1000));
  const V high = hn::Set(d, static_cast<T>(sizeof(T) == 4 ? 104 : 706));
  const V result = hn::Exp(d, hn::Min(hn::Max(x, low), high));
  return hn::IfThenElse(hn::Eq(x, x), result, x);
}

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
