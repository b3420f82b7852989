// Owns the arithmetic of the choice of experts that the GPU and its tests on the CPU share: how
// many run and what their probabilities are multiplied by. Contract: kernels/select_experts.h.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/host_device.h"

namespace moeval_cuda {

// Values of kernels::SelectRule and kernels::GateRule.
enum class Rule : int32_t { top_k, top_p, threshold, entropy };
enum class Gate : int32_t { softmax, divided, divided_by_trained, scaled_to_trained, unit };

MOEVAL_HD inline double sum_of(const double* p, int n) {
  double s = 0;
  for (int i = 0; i < n; ++i) s += p[i];
  return s;
}

// p: probabilities of the best experts, falling, at least k of them. entropy: H(p) / log n.
MOEVAL_HD inline int count_chosen(Rule rule, int k, double value, double slope, const double* p,
                                  double entropy) {
  int c = k;
  switch (rule) {
    case Rule::top_k:
      break;
    case Rule::top_p: {
      double sum = 0;
      for (c = 0; c < k && !(sum > value); ++c) sum += p[c];
      break;
    }
    case Rule::threshold:
      for (c = 0; c < k && p[c] >= value;) ++c;
      break;
    case Rule::entropy: {
      const double wanted = round(value + slope * entropy);
      c = wanted >= k ? k : static_cast<int>(wanted > 1 ? wanted : 1);
      break;
    }
  }
  return c > 1 ? c : 1;
}

MOEVAL_HD inline double gate_scale(Gate gate, const double* p, int chosen, int trained_k) {
  switch (gate) {
    case Gate::divided:
      return 1 / sum_of(p, chosen);
    case Gate::divided_by_trained:
      return 1 / sum_of(p, trained_k);
    case Gate::scaled_to_trained:
      return sum_of(p, trained_k) / sum_of(p, chosen);
    case Gate::softmax:
    case Gate::unit:
      break;
  }
  return 1;
}

}  // namespace moeval_cuda
