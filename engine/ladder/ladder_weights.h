// Owns the construction of the ladder model's weights.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/ladder/ladder_model.h"

namespace engine::ladder {

struct Shape {
  static constexpr int64_t kModel = 128, kHeads = 4, kHead = 32, kLayers = 3, kWidth = 24;
  static constexpr double kTheta = 1e6, kNormEps = 1e-6;
};

struct Tensor {
  std::string name;            // as transformers calls it
  std::vector<int64_t> shape;  // row-major
  std::vector<float> values;
};

using TokenIds = std::unordered_map<std::string, int64_t>;  // by text

// All tensors of the checkpoint. tokens: ids 0 to n - 1; they hold every word of Words after a
// space, the letters A to D, and these after a space.
std::vector<Tensor> make_weights(const Words&, const TokenIds& tokens);

}  // namespace engine::ladder
