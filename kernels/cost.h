// Owns Cost: what one op call must do, in exact integers. A multiply-add is 2 FLOPs; norms,
// softmax, rotary, activations and sampling are left out (as in the field's usual FLOP counts).
#pragma once

#include <cstdint>

namespace kernels {

struct Cost {
  uint64_t flops = 0;
  uint64_t weight_bytes = 0;  // bytes of stored weights read once

  Cost& operator+=(const Cost& o) {
    flops += o.flops;
    weight_bytes += o.weight_bytes;
    return *this;
  }
  friend bool operator==(const Cost&, const Cost&) = default;
};

}  // namespace kernels
