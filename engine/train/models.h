// Owns what training gives: a model of success at each k, and a policy over k.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/policy/plug_in.h"
#include "engine/train/examples.h"
#include "engine/train/mlp.h"
#include "engine/train/options.h"

namespace engine::train {

// z = (x - mean) / scale; scale is the standard deviation, 1 where a feature does not vary.
struct Standardiser {
  std::vector<double> mean, scale;
  std::vector<uint8_t> varies;

  Standardiser() = default;
  Standardiser(const Examples&, std::span<const int64_t> rows);
  void apply(std::span<const float> x, double* z) const;
};

struct SuccessModel {
  Standardiser input;
  Head head = Head::ordinal;
  Mlp net;
  int epochs = 0;            // that gave the best held-out score
  double held_out_loss = 0;  // of that epoch; of training when nothing was held out

  std::vector<double> p(std::span<const float> features) const;  // [n_k]
};

struct PolicyModel {
  Standardiser input;
  // [n_k] logits, or three times as many: z_k = o_k + g_1 o_(n_k + k) + g_2 o_(2 n_k + k) with g of
  // lambda. A lambda once chosen folds into the last layer.
  Mlp net;
  std::optional<LambdaRange> family;
  int epochs = 0;
  double held_out_value = 0;  // mean reward under the policy

  // g of lambda: {1}, or {1, lambda / upper, log lambda scaled to [-1, 1]}.
  std::vector<double> basis(double lambda) const;
  std::vector<double> logits(std::span<const float> features, double lambda) const;  // [n_k]
};

using engine::argmax;
using engine::plug_in;

}  // namespace engine::train
