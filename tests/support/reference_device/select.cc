// Owns the choice of experts: kernels/select_experts.h, with the shared experts in front.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cuda/selection.h"
#include "tests/support/reference_device/element.h"
#include "tests/support/reference_device/ops.h"

namespace reference_device {
namespace {

using moeval_cuda::Gate;
using moeval_cuda::Rule;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// The routed experts of one row, the best first, and their probabilities.
struct Ranking {
  std::vector<int> ids;
  std::vector<double> p;
  double entropy = 0;  // H(p) / log n
};

Ranking rank_experts(const float* scores, int n) {
  Ranking r;
  for (int e = 0; e < n; ++e) r.ids.push_back(e);
  std::stable_sort(r.ids.begin(), r.ids.end(), [&](int a, int b) { return scores[a] > scores[b]; });
  const double max = scores[r.ids[0]];
  double sum = 0;
  for (int e = 0; e < n; ++e) sum += std::exp(scores[e] - max);
  double h = std::log(sum);
  for (int e = 0; e < n; ++e) h -= std::exp(scores[e] - max) / sum * (scores[e] - max);
  if (n > 1) r.entropy = h / std::log(static_cast<double>(n));
  for (int e : r.ids) r.p.push_back(std::exp(scores[e] - max) / sum);
  return r;
}

bool names_trained_k(Gate gate) {
  return gate == Gate::divided_by_trained || gate == Gate::scaled_to_trained;
}

void check_selection(const MoevalRouting& r, const MoevalSelection& want) {
  const auto most = std::min<int32_t>(r.n_routed, kDeviceMaxChosen);
  const auto gate = static_cast<Gate>(r.gate_rule);
  if (want.k < 0 || want.k > most || want.n_shared < 0 || want.n_shared > r.n_shared ||
      want.n_shared + want.k > kDeviceMaxChosen) {
    throw DeviceError("select: " + std::to_string(want.n_shared) + " shared and " +
                      std::to_string(want.k) + " routed experts of a row, out of " +
                      std::to_string(r.n_shared) + " and " + std::to_string(r.n_routed));
  }
  if (want.rule < 0 || want.rule > static_cast<int32_t>(Rule::entropy) || r.gate_rule < 0 ||
      r.gate_rule > static_cast<int32_t>(Gate::unit)) {
    throw DeviceError("select: unknown rule " + std::to_string(want.rule) + " or gate rule " +
                      std::to_string(r.gate_rule));
  }
  if (want.k > 0 && names_trained_k(gate) && (r.trained_k < 1 || r.trained_k > most)) {
    throw DeviceError("select: trained_k is " + std::to_string(r.trained_k));
  }
}

// The places of one row behind its shared experts.
struct Places {
  int16_t* ids;
  float* weights;
  float* margin;
};

void choose_routed(const MoevalRouting& r, const MoevalSelection& want, const float* scores,
                   Places to) {
  const Ranking best = rank_experts(scores, r.n_routed);
  const auto gate = static_cast<Gate>(r.gate_rule);
  const int chosen = moeval_cuda::count_chosen(static_cast<Rule>(want.rule), want.k, want.value,
                                               want.slope, best.p.data(), best.entropy);
  const double scale = moeval_cuda::gate_scale(gate, best.p.data(), chosen, r.trained_k);
  if (chosen < r.n_routed) {
    *to.margin = gate == Gate::unit ? scores[best.ids[chosen - 1]] - scores[best.ids[chosen]]
                                    : static_cast<float>(best.p[chosen - 1] - best.p[chosen]);
  }
  int place = 0;
  for (int e = 0; e < r.n_routed; ++e) {
    const auto rank = std::find(best.ids.begin(), best.ids.end(), e) - best.ids.begin();
    if (rank >= chosen) continue;
    to.ids[place] = static_cast<int16_t>(r.n_shared + e);
    to.weights[place] = gate == Gate::unit ? 1.0f : static_cast<float>(best.p[rank] * scale);
    ++place;
  }
}

bool row_is_finite(const MoevalDevice& device, const MoevalRouting& r, int64_t row) {
  bool finite = true;
  with_type(r.type, [&](auto zero) {
    using T = decltype(zero);
    const T* x = static_cast<const T*>(r.input) + row * r.d;
    device.memory.array<T>(x, r.d, "select: row of input");
    finite = std::all_of(x, x + r.d, [](T v) { return std::isfinite(value_of(v)); });
  });
  return finite;
}

void select_row(const MoevalDevice& device, const MoevalRouting& r, int64_t row) {
  int16_t* ids = r.ids + row * kDeviceMaxChosen;
  float* weights = r.weights + row * kDeviceMaxChosen;
  std::fill_n(ids, kDeviceMaxChosen, int16_t{-1});
  std::fill_n(weights, kDeviceMaxChosen, 0.0f);
  r.margins[row] = kNan;
  if (r.positions[row] < 0) return;
  const int64_t at = int64_t{r.budget_of[row]} * r.n_layers + r.layer;
  const MoevalSelection want =
      *device.memory.array<MoevalSelection>(r.selections + at, 1, "select: selection of a row");
  check_selection(r, want);
  for (int32_t j = 0; j < want.n_shared; ++j) {
    ids[j] = static_cast<int16_t>(j);
    weights[j] = 1;
    if (r.shared_gates) {
      const double gate = r.shared_gates[row * r.n_shared + j];
      weights[j] = static_cast<float>(1 / (1 + std::exp(-gate)));
    }
  }
  if (want.k == 0) return;
  const float* scores = r.scores + row * r.n_routed;
  device.memory.array<float>(scores, r.n_routed, "select: row of scores");
  const Places to{ids + want.n_shared, weights + want.n_shared, r.margins + row};
  if (std::all_of(scores, scores + r.n_routed, [](float s) { return std::isfinite(s); })) {
    return choose_routed(r, want, scores, to);
  }
  for (int32_t j = 0; j < want.k; ++j) {
    to.ids[j] = static_cast<int16_t>(r.n_shared + j);
    to.weights[j] = kNan;
  }
  if (r.faults[row] == 0) r.faults[row] = 1 + 2 * r.layer + (row_is_finite(device, r, row) ? 0 : 1);
}

}  // namespace

void select(MoevalDevice& device, const MoevalRouting& r, int64_t m) {
  const Memory& memory = device.memory;
  if (r.layer < 0 || r.layer >= r.n_layers) throw DeviceError("select: no such layer");
  memory.array<int32_t>(r.positions, m, "select: positions");
  memory.array<int32_t>(r.budget_of, m, "select: budget_of");
  if (r.shared_gates) memory.array<float>(r.shared_gates, m * r.n_shared, "select: shared_gates");
  memory.array<int16_t>(r.ids, m * kDeviceMaxChosen, "select: ids");
  memory.array<float>(r.weights, m * kDeviceMaxChosen, "select: weights");
  memory.array<float>(r.margins, m, "select: margins");
  memory.array<int32_t>(r.faults, m, "select: faults");
  for (int64_t row = 0; row < m; ++row) select_row(device, r, row);
}

}  // namespace reference_device
