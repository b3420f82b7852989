// Owns what is read from rows of logits.
#include <cmath>
#include <limits>

#include "tests/support/reference_device/ops.h"

namespace reference_device {
namespace {

// argmax: NaN never wins, -1 if all are. log_sum_exp: NaN if one is; the infinity if the largest
// is infinite. As kernels/elementwise.h.
MoevalHeadFacts facts_of(const float* logits, int64_t vocab) {
  MoevalHeadFacts f{0, -1, 1};
  bool nan = false;
  for (int64_t i = 0; i < vocab; ++i) {
    nan = nan || std::isnan(logits[i]);
    if (!std::isfinite(logits[i])) f.finite = 0;
    if (std::isnan(logits[i])) continue;
    if (f.argmax < 0 || logits[i] > logits[f.argmax]) f.argmax = static_cast<int32_t>(i);
  }
  if (nan) {
    f.log_sum_exp = std::numeric_limits<double>::quiet_NaN();
    return f;
  }
  const double max = logits[f.argmax];
  double sum = 0;
  for (int64_t i = 0; i < vocab; ++i) sum += std::exp(logits[i] - max);
  f.log_sum_exp = std::isinf(max) ? max : max + std::log(sum);
  return f;
}

}  // namespace

void head_facts(MoevalDevice& device, const float* logits, int64_t n, int64_t vocab,
                MoevalHeadFacts* facts) {
  if (n > 0 && vocab < 1) throw DeviceError("head_facts: no logits");
  device.memory.array<float>(logits, n * vocab, "head_facts: logits");
  device.memory.array<MoevalHeadFacts>(facts, n, "head_facts: facts");
  for (int64_t r = 0; r < n; ++r) facts[r] = facts_of(logits + r * vocab, vocab);
}

void pick(MoevalDevice& device, const float* logits, int64_t vocab, const int32_t* rows,
          const int32_t* tokens, int64_t n, float* out) {
  device.memory.array<int32_t>(rows, n, "pick: rows");
  device.memory.array<int32_t>(tokens, n, "pick: tokens");
  device.memory.array<float>(out, n, "pick: out");
  for (int64_t i = 0; i < n; ++i) {
    if (rows[i] < 0 || tokens[i] < 0 || tokens[i] >= vocab) {
      throw DeviceError("pick: token " + std::to_string(tokens[i]) + " of row " +
                        std::to_string(rows[i]));
    }
    out[i] = *device.memory.array<float>(logits + rows[i] * vocab + tokens[i], 1, "pick: logit");
  }
}

}  // namespace reference_device
