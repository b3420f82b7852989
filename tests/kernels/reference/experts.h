// The slow, obviously right forms of the choice of experts and of one expert, in double precision.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/select_experts.h"

namespace reference {

struct Chosen {
  std::vector<int> ids;  // ascending
  std::vector<double> weights;
  double margin = std::numeric_limits<double>::quiet_NaN();
  // How far the selector's value was from choosing one expert more or less; rounding may decide
  // below about 1e-12.
  double slack = std::numeric_limits<double>::infinity();
};
Chosen select_experts(const std::vector<double>& scores, const kernels::RowSelection&,
                      kernels::GateRule, int trained_k);

// down(silu(gate x) * up x) of one row; gate, up [width, d_model], down [d_model, width].
std::vector<double> expert(const std::vector<double>& x, const std::vector<float>& gate,
                           const std::vector<float>& up, const std::vector<float>& down);

}  // namespace reference
