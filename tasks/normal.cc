#include "tasks/normal.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace tasks {

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

double normal_quantile(double p) {
  assert(p > 0 && p < 1);
  // Upper half by symmetry, where erfc of a positive argument keeps its relative precision.
  const double tail = std::min(p, 1 - p);
  double low = 0, high = 40;
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = 0.5 * (low + high);
    if (middle == low || middle == high) break;
    (normal_cdf(-middle) > tail ? low : high) = middle;
  }
  return p < 0.5 ? -high : high;
}

}  // namespace tasks
