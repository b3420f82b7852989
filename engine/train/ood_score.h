// Owns OodScore: how far a query lies from those that a predictor learned from, by the last hidden
// activations of its success model (without hidden layers: its standardised features), each vector
// scaled to length 1 (research note adaptive-moe.md, section 5.3).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/policy/ood_measure.h"
#include "engine/train/examples.h"
#include "engine/train/models.h"

namespace engine::train {

// The covariance shrunk towards a multiple of the identity by the amount that minimises the
// expected squared error (Ledoit and Wolf 2004). x: [n, d] rows. Writes the mean. [d, d]
struct ShrunkCovariance {
  std::vector<double> mean, covariance;
  double shrinkage = 0;  // 0..1
};
ShrunkCovariance ledoit_wolf(std::span<const double> x, int64_t n, int64_t d);

class OodScore {
 public:
  OodScore(OodDetector, const Examples&, std::span<const int64_t> rows, const SuccessModel&);

  // Distance, 0 or more; the larger the less like the rows. model: the one that it was made with.
  double of(const SuccessModel& model, std::span<const float> features) const;
  uint64_t flops() const { return measure_.flops(); }  // of one score, the activations known
  const OodMeasure& measure() const { return measure_; }

 private:
  OodMeasure measure_;
};

}  // namespace engine::train
