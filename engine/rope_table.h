// Owns the table of cosines and sines of rotary position embedding.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/model_config.h"

namespace engine {

// Radians per position of each rotated pair, [d_rot / 2].
// Sources: Su et al. 2021 (RoFormer), theta^(-2i/d_rot); linear: divided by `factor`; llama3:
// transformers 4.x, modeling_rope_utils.py, _compute_llama3_parameters; frequency_factors: ggml
// rope_ext (rope_freqs.weight divides the frequency).
std::vector<double> rope_frequencies(const RopeConfig&);

// Values are those of cos and sin in double, rounded to float.
class RopeTable {
 public:
  explicit RopeTable(const RopeConfig&);
  // Computes positions [0, n) that are not there yet.
  void ensure(int64_t n);
  const float* cos_sin() const { return table_.data(); }  // [positions, d_rot / 2, 2]

 private:
  std::vector<double> frequencies_;
  std::vector<float> table_;
};

}  // namespace engine
