#include "kernels/isa.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/isa.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

static int64_t target() { return HWY_TARGET; }

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kernels {

HWY_EXPORT(target);

static std::string_view name_of(int64_t target) {
  switch (target) {
    case HWY_AVX3:
      return "avx512";
    case HWY_AVX2:
      return "avx2";
    case HWY_NEON:
      return "neon";
    default:
      return "portable";
  }
}

static void use(int64_t mask) {
  hwy::SetSupportedTargetsForTest(mask);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

static std::vector<int64_t> available_targets() {
  const int64_t in_use = HWY_DYNAMIC_DISPATCH(target)();
  use(0);
  std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
  if (targets.empty() || targets.back() != HWY_SCALAR) targets.push_back(HWY_SCALAR);
  use(in_use);
  return targets;
}

std::string_view isa() { return name_of(HWY_DYNAMIC_DISPATCH(target)()); }

std::vector<std::string_view> available_isas() {
  std::vector<std::string_view> names;
  for (int64_t t : available_targets()) names.push_back(name_of(t));
  return names;
}

bool force_isa(std::string_view name) {
  if (name.empty()) {
    use(0);
    return true;
  }
  for (int64_t t : available_targets()) {
    if (name_of(t) == name) {
      use(t);
      return true;
    }
  }
  return false;
}

}  // namespace kernels
#endif
