#include "tasks/calibration.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace tasks {

std::optional<double> brier(std::span<const double> p, std::span<const double> y) {
  assert(p.size() == y.size());
  if (p.empty()) return std::nullopt;
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += (p[i] - y[i]) * (p[i] - y[i]);
  return sum / static_cast<double>(p.size());
}

std::vector<ReliabilityBin> reliability(std::span<const double> p, std::span<const double> y,
                                        int n_bins) {
  assert(p.size() == y.size() && n_bins > 0);
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  const auto n = static_cast<int64_t>(p.size());
  std::vector<ReliabilityBin> bins;
  int64_t i = 0;
  for (int b = 1; b <= n_bins && i < n; ++b) {
    int64_t end = std::max(i, (n * b + n_bins - 1) / n_bins);
    while (end > i && end < n &&
           p[order[static_cast<size_t>(end)]] == p[order[static_cast<size_t>(end - 1)]])
      ++end;
    if (end == i) continue;
    ReliabilityBin& bin = bins.emplace_back();
    for (; i < end; ++i) {
      bin.stated += p[order[static_cast<size_t>(i)]];
      bin.happened += y[order[static_cast<size_t>(i)]];
      ++bin.n;
    }
    bin.stated /= static_cast<double>(bin.n);
    bin.happened /= static_cast<double>(bin.n);
  }
  return bins;
}

std::optional<double> expected_calibration_error(std::span<const double> p,
                                                 std::span<const double> y, int n_bins) {
  if (p.empty()) return std::nullopt;
  double sum = 0;
  for (const auto& b : reliability(p, y, n_bins))
    sum += static_cast<double>(b.n) * std::abs(b.stated - b.happened);
  return sum / static_cast<double>(p.size());
}

}  // namespace tasks
