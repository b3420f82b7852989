#include "tests/kernels/reference/experts.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/kernels/reference/reference.h"

namespace reference {
namespace {

// The sum of the first n.
double head(const std::vector<double>& v, int n) {
  return std::accumulate(v.begin(), v.begin() + n, 0.0);
}

int count_of(const kernels::RowSelection& s, const std::vector<double>& falling, double& slack) {
  const auto value = static_cast<double>(s.value);
  const auto saw = [&](double distance) { slack = std::min(slack, std::abs(distance)); };
  int n = 0;
  switch (s.rule) {
    case kernels::SelectRule::top_k:
      n = s.k;
      break;
    case kernels::SelectRule::top_p:
      while (n < s.k && head(falling, n) <= value) saw(head(falling, ++n) - value);
      break;
    case kernels::SelectRule::threshold:
      for (double p : falling) {
        saw(p - value);
        if (p >= value) ++n;
      }
      break;
    case kernels::SelectRule::entropy: {
      double h = 0;
      for (double p : falling) h -= p > 0 ? p * std::log(p) : 0;
      const double most = std::log(static_cast<double>(falling.size()));
      const double wanted = value + static_cast<double>(s.slope) * (most > 0 ? h / most : 0);
      saw(wanted - std::floor(wanted) - 0.5);
      n = static_cast<int>(std::clamp(std::round(wanted), 1.0, 1e6));
      break;
    }
  }
  return std::clamp(n, 1, s.k);
}

std::vector<double> product(const std::vector<float>& w, const std::vector<double>& x) {
  std::vector<double> y(w.size() / x.size());
  for (size_t i = 0; i < w.size(); ++i) {
    y[i / x.size()] += static_cast<double>(w[i]) * x[i % x.size()];
  }
  return y;
}

}  // namespace

Chosen select_experts(const std::vector<double>& scores, const kernels::RowSelection& s,
                      kernels::GateRule rule, int trained_k) {
  Chosen c;
  if (s.k == 0) return c;
  std::vector<int> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return scores[a] > scores[b]; });
  std::vector<double> falling;
  for (int e : order) falling.push_back(std::exp(scores[e] - scores[order[0]]));
  const double total = head(falling, static_cast<int>(falling.size()));
  for (double& p : falling) p /= total;

  const int n = count_of(s, falling, c.slack);
  const bool unit = rule == kernels::GateRule::unit;
  if (n < static_cast<int>(scores.size())) {
    c.margin = unit ? scores[order[n - 1]] - scores[order[n]] : falling[n - 1] - falling[n];
  }
  double scale = 1;
  if (rule == kernels::GateRule::divided) scale = 1 / head(falling, n);
  if (rule == kernels::GateRule::divided_by_trained) scale = 1 / head(falling, trained_k);
  if (rule == kernels::GateRule::scaled_to_trained) {
    scale = head(falling, trained_k) / head(falling, n);
  }
  std::vector<double> weight(scores.size());
  for (int i = 0; i < n; ++i) weight[order[i]] = unit ? 1 : falling[i] * scale;
  c.ids.assign(order.begin(), order.begin() + n);
  std::sort(c.ids.begin(), c.ids.end());
  for (int e : c.ids) c.weights.push_back(weight[e]);
  return c;
}

std::vector<double> expert(const std::vector<double>& x, const std::vector<float>& gate,
                           const std::vector<float>& up, const std::vector<float>& down) {
  std::vector<double> h = product(gate, x);
  const std::vector<double> u = product(up, x);
  for (size_t i = 0; i < h.size(); ++i) h[i] = silu(h[i]) * u[i];
  return product(down, h);
}

}  // namespace reference
